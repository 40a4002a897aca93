/**
 * Addresses of names, as a program of this machine would be told them: of /etc/hosts, else of name servers, over UDP and, for an answer that
 * was cut off, TCP. Nothing waits: whoever has these sockets polls them beside others.
 *
 * Source: hosts(5), resolv.conf(5), RFC 1035 4.2; RFC 5452 for what an answer has to have. Each question has a socket and a number of its own,
 * and the kernel takes packets of the server alone that it was sent to.
 */

import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, POLLOUT, type Watched } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { errnoNumber } from '../linux/errno.ts'
import { O_CLOEXEC } from '../linux/files.ts'
import { AF_INET, AF_INET6, inetAddress, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } from '../linux/sockets.ts'
import { askFor, type Found, NAME_ERROR, NO_ERROR, readAnswer, TYPE_A, TYPE_AAAA } from './dns-message.ts'
import type { PolicyParts, Resolved } from './egress-policy.ts'
import { type HostAddress, parseHostAddress } from './host-address.ts'

export interface AskParts {
  readonly native: Native
  readonly files: Pick<Files, 'readText'>
  /** 4 or 16 bytes each; the first that answers is believed. */
  readonly servers: () => readonly Uint8Array[]
  /** In milliseconds; only differences count. */
  readonly now: () => number
}

export interface NameAsker {
  readonly resolve: PolicyParts['resolve']
  /** What is waited for; `take` is told what came of it, in the same order. */
  readonly watched: () => readonly Watched[]
  readonly take: (watched: readonly Watched[], ready: readonly number[]) => void
  /** Until `take` is to be called though nothing came; undefined for never. */
  readonly timeoutMs: () => number | undefined
}

const MAX_OPEN = 256
const SERVER_MS = 2000
/** So often each server is asked. */
const ROUNDS = 2
const PORT = 53
const MSG_NOSIGNAL = 0x4000
const MAX_MESSAGE = 65_535

/** A question that is with a server. */
interface Asked {
  readonly question: Uint8Array
  readonly done: (found: Found | undefined) => void
  readonly servers: readonly Uint8Array[]
  /** How many servers were asked before. */
  turn: number
  isTcp: boolean
  isSent: boolean
  deadline: number
  /** Over TCP: what came until now. */
  came: Uint8Array
}

export function askNames(parts: AskParts): NameAsker {
  const { files, now } = parts
  const open = new Map<number, Asked>()
  const state: State = { ...parts, open, into: new Uint8Array(MAX_MESSAGE) }
  return {
    resolve: (name, done) => {
      const known = inHosts(files.readText('/etc/hosts') ?? '', name)
      if (known.length > 0) done(known)
      else if (!NAME.test(name)) done([])
      else if (open.size + 2 > MAX_OPEN) done(undefined)
      else askBoth(state, name, done)
    },
    watched: () => [...open].map(([fd, { isSent }]) => ({ fd, events: isSent ? POLLIN : POLLOUT })),
    take: (watched, ready) => {
      watched.forEach(({ fd }, index) => {
        const asked = open.get(fd)
        if (asked === undefined) return
        if ((ready[index] ?? 0) !== 0) hear(state, fd, asked)
        else if (now() >= asked.deadline) askNext(state, fd, asked)
      })
    },
    timeoutMs: () =>
      open.size === 0
        ? undefined
        : Math.max(0, Math.ceil(Math.min(...[...open.values()].map(({ deadline }) => deadline)) - now())),
  }
}

interface State extends AskParts {
  readonly open: Map<number, Asked>
  readonly into: Uint8Array
}

/** What can be in a question, and in the files of this machine. The rules of a wildcard let others pass. */
const NAME = /^(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63})*$/

function inHosts(text: string, name: string): readonly HostAddress[] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    return names.some((one) => one.toLowerCase() === name) ? (parseHostAddress(address) ?? []) : []
  })
}

function askBoth(state: State, name: string, done: (addresses: Resolved) => void): void {
  const found: (Found | undefined)[] = []
  const servers = state.servers()
  let left = 2
  ;[TYPE_A, TYPE_AAAA].forEach((type, index) => {
    const id = new Uint8Array(2)
    must(state.native, 'get random bytes', 'getrandom', id, id.length, 0)
    const question = askFor({ id: new DataView(id.buffer).getUint16(0), name, type })
    const take = (answer: Found | undefined): void => {
      found[index] = answer
      left -= 1
      if (left === 0) done(together(found))
    }
    ask(state, {
      question,
      done: take,
      servers,
      turn: 0,
      isTcp: false,
      isSent: false,
      deadline: 0,
      came: new Uint8Array(0),
    })
  })
}

/** That a name has no addresses has to be said of both kinds. */
function together(found: readonly (Found | undefined)[]): Resolved {
  const addresses = found.flatMap((one) => one?.addresses ?? [])
  if (addresses.length > 0) return addresses.map((bytes) => ({ family: bytes.length === 4 ? 4 : 6, bytes }))
  return found.every((one) => one !== undefined) ? [] : undefined
}

/** With the next server that can be asked; calls back if there is none. */
function ask(state: State, asked: Asked): void {
  const { native, now, open } = state
  for (; asked.turn < asked.servers.length * ROUNDS; asked.turn++) {
    const fd = connectTo(native, asked.servers[asked.turn % asked.servers.length], asked.isTcp)
    if (fd === undefined) continue
    asked.isSent = false
    asked.came = new Uint8Array(0)
    asked.deadline = now() + SERVER_MS
    open.set(fd, asked)
    return
  }
  asked.done(undefined)
}

function connectTo(native: Native, server: Uint8Array | undefined, isTcp: boolean): number | undefined {
  if (server === undefined) return undefined
  const family = server.length === 4 ? AF_INET : AF_INET6
  const type = (isTcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | O_CLOEXEC
  const fd = attempt(native, 'socket', family, type, 0)
  if (fd < 0) return undefined
  const address = inetAddress(server, PORT)
  const result = attempt(native, 'connect', fd, address, address.length)
  if (result >= 0 || result === -errnoNumber('EINPROGRESS')) return fd
  close(native, fd)
  return undefined
}

function leave({ native, open }: State, fd: number): void {
  open.delete(fd)
  close(native, fd)
}

function askNext(state: State, fd: number, asked: Asked): void {
  leave(state, fd)
  asked.turn += 1
  ask(state, asked)
}

function hear(state: State, fd: number, asked: Asked): void {
  if (!asked.isSent) sendQuestion(state, fd, asked)
  else if (asked.isTcp) hearTcp(state, fd, asked)
  else hearUdp(state, fd, asked)
}

/** It is short enough for the room of any socket. Over TCP its length is before it. */
function sendQuestion(state: State, fd: number, asked: Asked): void {
  const { question } = asked
  const message = asked.isTcp ? Uint8Array.of(question.length >> 8, question.length & 0xff, ...question) : question
  const sent = attempt(state.native, 'sendto', fd, message, message.length, MSG_NOSIGNAL, null, 0)
  asked.isSent = sent === message.length
  if (!asked.isSent) askNext(state, fd, asked)
}

/** How many bytes came; undefined for none yet, and 0 for what is over. */
function receive({ native, into }: State, fd: number): number | undefined {
  const got = attempt(native, 'recvfrom', fd, into, into.length, 0, null, null)
  if (got === -errnoNumber('EAGAIN') || got === -errnoNumber('EINTR')) return undefined
  return Math.max(0, got)
}

function hearUdp(state: State, fd: number, asked: Asked): void {
  const got = receive(state, fd)
  if (got === undefined) return
  if (got === 0) {
    askNext(state, fd, asked)
    return
  }
  const found = readAnswer(state.into.slice(0, got), asked.question)
  // Of somebody who guesses; the server may answer yet.
  if (found === undefined) return
  if (!found.isCut) {
    finish(state, fd, { asked, found })
    return
  }
  leave(state, fd)
  asked.isTcp = true
  ask(state, asked)
}

function hearTcp(state: State, fd: number, asked: Asked): void {
  const got = receive(state, fd)
  if (got === undefined) return
  const all = new Uint8Array(asked.came.length + got)
  all.set(asked.came)
  all.set(state.into.subarray(0, got), asked.came.length)
  asked.came = all
  const due = all.length < 2 ? undefined : 2 + new DataView(all.buffer).getUint16(0)
  if (due !== undefined && all.length >= due)
    finish(state, fd, { asked, found: readAnswer(all.slice(2, due), asked.question) })
  else if (got === 0) askNext(state, fd, asked)
}

/** A server that cannot tell is none to believe: there may be another one. */
function finish(
  state: State,
  fd: number,
  { asked, found }: { readonly asked: Asked; readonly found: Found | undefined },
): void {
  if (found === undefined || (found.code !== NO_ERROR && found.code !== NAME_ERROR)) {
    askNext(state, fd, asked)
    return
  }
  leave(state, fd)
  asked.done(found)
}
