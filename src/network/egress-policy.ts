/**
 * What the relay of a container is answered: what a name stands for inside, and where a connection leads outside.
 *
 * A name that no rule names does not exist, and nobody outside is asked for it, so that no question carries anything out. A connection goes only
 * to addresses that the name itself had when the connection was made, and to none of this machine or its neighbourhood unless a rule has that
 * address (SECURITY-CHECKS S236, S240, S242, S289).
 */

import {
  type Answer,
  answerTo,
  answerToUnreadable,
  NAME_ERROR,
  NO_ERROR,
  NOT_IMPLEMENTED,
  type Question,
  readQuestion,
  SERVER_FAILURE,
  TYPE_A,
  TYPE_AAAA,
} from './dns-message.ts'
import type { Frame, Place } from './egress-frames.ts'
import * as frames from './egress-frames.ts'
import { readRefusal } from './egress-refusals.ts'
import { addressOfName, hasPort, isSameAddress, nameIndexOf, namesHost, type Rule, type Rules } from './egress-rules.ts'
import { type HostAddress, hostAddressText, isNearby, placeText } from './host-address.ts'

/** All addresses of a name; none if it has none, undefined if that could not be found out. */
export type Resolved = readonly HostAddress[] | undefined

export interface PolicyParts {
  readonly rules: Rules
  readonly send: (frame: Uint8Array) => void
  /** Asks for the addresses of a name of this machine's network, and calls back once, which may be at once. */
  readonly resolve: (name: string, done: (addresses: Resolved) => void) => void
  readonly onRefused: (refused: Refused) => void
  /** In milliseconds; only differences count. */
  readonly now: () => number
}

/** `name` is a name, or what was to be connected to: `evil.example`, `192.0.2.1:80`, `example.com:53/udp`. */
export interface Refused {
  readonly name: string
  readonly errno: 'EAI_NONAME' | 'ECONNREFUSED' | 'ECONNRESET'
}

/** Takes the frames of a relay. */
export type Policy = (frame: Frame) => void

/** Names that a wildcard has brought; the addresses of names that were asked for; who waits for those. */
const MAX_NAMES = 4096
const MAX_WAITING = 1024
const KEPT_MS = 10_000
/** So many names are asked for outside at once, and then in a second; what is beyond fails. A wildcard would let a container ask on and on. */
const MOST_ASKED = 200
const ASKED_A_SECOND = 20
/** A program asks for both kinds of addresses, and again and again: the same refusal is told once in this time. */
const TOLD_MS = 1000
const MAX_TOLD = 1024
/** The time that programs may keep what a name stands for inside, which does not change. */
const TTL_SECONDS = 60

export function makePolicy(parts: PolicyParts): Policy {
  const names = [...parts.rules.names]
  const resolve = keepResolved(parts)
  const onRefused = tellOnce(parts)
  let isOver = false
  const send = (bytes: Uint8Array): void => {
    if (!isOver) parts.send(bytes)
  }
  const policy: PolicyState = {
    ...parts,
    send,
    onRefused,
    names,
    indexOf: new Map(names.map((name, index) => [name, index])),
    resolve,
  }
  return (frame) => {
    if (frame.kind === frames.QUERY) takeQuery(policy, frame)
    else if (frame.kind === frames.CONNECTION) takeConnection(policy, frame)
    else if (frame.kind === frames.REFUSED) takeRefusal(policy, frame)
    else if (frame.kind === frames.LAST) isOver = true
  }
}

interface PolicyState extends PolicyParts {
  readonly names: string[]
  readonly indexOf: Map<string, number>
}

function tellOnce({ onRefused, now }: PolicyParts): PolicyParts['onRefused'] {
  const told = new Map<string, number>()
  return (refused) => {
    const [key, at] = [`${refused.errno} ${refused.name}`, now()]
    const before = told.get(key)
    if (before !== undefined && at - before < TOLD_MS) return
    if (told.size >= MAX_TOLD) told.clear()
    told.set(key, at)
    onRefused(refused)
  }
}

function takeQuery(policy: PolicyState, { id, place, bytes }: Frame): void {
  const send = (message: Uint8Array): void =>
    policy.send(frames.frameBytes({ kind: frames.ANSWER, id, place, bytes: message }))
  const question = readQuestion(bytes)
  if (question === undefined) return
  if ('code' in question) send(answerToUnreadable(question))
  else answerQuestion(policy, question, (answer) => send(answerTo(question, answer)))
}

function answerQuestion(policy: PolicyState, question: Question, answer: (answer: Answer) => void): void {
  const refusal = refusalOf(policy, question)
  if (refusal !== undefined) answer(refusal)
  else policy.resolve(question.name, (addresses) => answer(answerOf(policy, question, addresses)))
}

function refusalOf({ rules, onRefused }: PolicyState, { name, isInternet }: Question): Answer | undefined {
  if (!isInternet) return { code: NOT_IMPLEMENTED }
  if (rules.all.some((rule) => namesHost(rule, name))) return undefined
  // Programs look addresses up to print them; that is not to reach for a host.
  if (!/\.(?:in-addr|ip6)\.arpa$/.test(name)) onRefused({ name, errno: 'EAI_NONAME' })
  return { code: NAME_ERROR }
}

function answerOf(policy: PolicyState, { name, type }: Question, addresses: Resolved): Answer {
  if (addresses?.length === 0) return { code: NAME_ERROR }
  const index = addresses === undefined ? undefined : indexFor(policy, name)
  if (index === undefined) return { code: SERVER_FAILURE }
  const isAddress = type === TYPE_A || type === TYPE_AAAA
  const own = isAddress ? [addressOfName(index, type === TYPE_A ? 4 : 6).bytes] : []
  return { code: NO_ERROR, addresses: own, ttlSeconds: TTL_SECONDS }
}

function indexFor({ names, indexOf }: PolicyState, name: string): number | undefined {
  const known = indexOf.get(name)
  if (known !== undefined || names.length >= MAX_NAMES) return known
  indexOf.set(name, names.length)
  return names.push(name) - 1
}

function takeConnection(policy: PolicyState, { id, place }: Frame): void {
  const answer = (way: Way): void => {
    if (typeof way === 'string') policy.onRefused({ name: way, errno: 'ECONNRESET' })
    policy.send(frames.targetsFrame(id, typeof way === 'string' ? [] : way))
  }
  const name = place === undefined ? undefined : nameAt(policy, place.address)
  if (place === undefined) answer([])
  else if (!isAllowed(policy.rules, place, name)) answer(placeName(policy, place))
  else if (name === undefined) answer([place])
  else policy.resolve(name, (addresses = []) => answer(wayTo(policy, { name, port: place.port, addresses })))
}

/** Where a connection leads, or what of it is refused. */
type Way = readonly Place[] | string

const isAllowed = ({ all }: Rules, { address, port }: Place, name: string | undefined): boolean =>
  all.some((rule) => hasPort(rule, port) && (name === undefined ? isRuleOf(rule, address) : namesHost(rule, name)))

interface Named {
  readonly name: string
  readonly port: number
  readonly addresses: readonly HostAddress[]
}

function wayTo({ rules }: PolicyState, { name, port, addresses }: Named): Way {
  const places = addresses.map((address) => ({ address, port }))
  const far = places.filter((place) => !isNearby(place.address) || isAllowed(rules, place, undefined))
  const [near] = addresses
  if (far.length === 0 && near !== undefined) return `${name}:${port} (${hostAddressText(near)})`
  return far.slice(0, frames.MAX_TARGETS)
}

const isRuleOf = ({ host }: Rule, address: HostAddress): boolean =>
  typeof host !== 'string' && isSameAddress(host, address)

function takeRefusal(policy: PolicyState, frame: Frame): void {
  const refusal = readRefusal(frame)
  if (refusal === undefined) return
  const suffix = refusal.protocol === 'udp' ? '/udp' : ''
  policy.onRefused({ name: `${placeName(policy, refusal)}${suffix}`, errno: 'ECONNREFUSED' })
}

function nameAt({ names }: PolicyState, address: HostAddress): string | undefined {
  const index = nameIndexOf(address)
  return index === undefined ? undefined : names[index]
}

function placeName(policy: PolicyState, { address, port }: Place): string {
  const name = nameAt(policy, address)
  return name === undefined ? placeText(address, port) : `${name}:${port}`
}

interface Kept {
  readonly addresses: Resolved
  readonly at: number
}

/** Asks once for a name at a time, and keeps the answer for a while: a container that asks on and on is not heard outside. */
function keepResolved({ resolve, now }: PolicyParts): PolicyParts['resolve'] {
  const kept = new Map<string, Kept>()
  const waiting = new Map<string, ((addresses: Resolved) => void)[]>()
  let waitingCount = 0
  let [mayAsk, at] = [MOST_ASKED, now()]
  const mayAskNow = (): boolean => {
    mayAsk = Math.min(MOST_ASKED, mayAsk + ((now() - at) * ASKED_A_SECOND) / 1000)
    at = now()
    return mayAsk >= 1
  }
  return (name, done) => {
    const known = kept.get(name)
    const others = waiting.get(name)
    if (known !== undefined && now() - known.at < KEPT_MS) {
      done(known.addresses)
      return
    }
    if (waitingCount >= MAX_WAITING || (others === undefined && !mayAskNow())) {
      done(undefined)
      return
    }
    waitingCount += 1
    waiting.set(name, [...(others ?? []), done])
    if (others !== undefined) return
    mayAsk -= 1
    resolve(name, (addresses) => {
      if (kept.size >= MAX_NAMES) kept.clear()
      kept.set(name, { addresses, at: now() })
      const all = waiting.get(name) ?? []
      waiting.delete(name)
      waitingCount -= all.length
      for (const one of all) one(addresses)
    })
  }
}
