/**
 * slirp4netns(1) beside a container: user-network.ts. It has an address of 10.0.2.0/24, of IPv4 alone.
 *
 *     RUNROOT/.netns/ID.slirp4netns      locked by it, so that everybody sees whether it lives: beside.ts
 *     RUNROOT/.netns/ID.api              a socket, of half the id, at which it is told of ports; gone when the container begins
 */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { close, pipe, read, readIfReady, remove, writeText } from '../executor/embedded-files.ts'
import { become, endWith, exit, outlive, ownPid, waitForPid } from '../executor/embedded-process.ts'
import { connectUnix } from '../executor/embedded-sockets.ts'
import { runHere } from '../executor/run-here.ts'
import { F_SETFD } from '../linux/files.ts'
import { SIGCHLD, setsid } from '../linux/process.ts'
import { SHUT_WR } from '../linux/sockets.ts'
import { handNothingElseOver, holdLock, readNothing } from '../plan/network-beside.ts'
import { endBeside } from './beside.ts'
import { type Connecting, cannotConnect } from './connector.ts'
import { type Engine, networkFile } from './place.ts'
import type { PortWish } from './record.ts'

const lockPath = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.slirp4netns`
/** The path of a socket has room for 107 bytes. */
const apiPath = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id.slice(0, 32))}.api`

/** Answers when the container is connected and its ports lead to it. */
export function startSlirp4netns(engine: Engine, connecting: Connecting): void {
  const { native } = engine.machine
  const { id, ports } = connecting
  const api = apiPath(engine, id)
  remove(native, api)
  try {
    runProgram(engine, connecting)
    for (const port of ports) publish(native, api, port)
  } catch (error) {
    endSlirp4netns(engine, id)
    throw error
  } finally {
    remove(native, api)
  }
}

/** The loopback of this machine is not reached by way of the gateway, and its files but /etc and /run not at all. */
const flagsOf = ({ pid, ports }: Connecting, api: string, ready: number): readonly string[] => [
  '--configure',
  '--mtu=65520',
  '--disable-host-loopback',
  '--enable-sandbox',
  '--enable-seccomp',
  `--ready-fd=${ready}`,
  ...(ports.length === 0 ? [] : [`--api-socket=${api}`]),
  `${pid}`,
  'eth0',
]

const O_NONBLOCK = 0o4000
const [STDOUT, STDERR] = [1, 2] as const

function runProgram(engine: Engine, connecting: Connecting): void {
  const { native } = engine.machine
  const [ready, printed] = [pipe(native), pipe(native, O_NONBLOCK)]
  const parent = ownPid(native)
  const child = must(native, 'make a process that becomes slirp4netns', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) beProgram(engine, connecting, { parent, ready: ready.writeEnd, printed })
  for (const fd of [ready.writeEnd, printed.writeEnd]) close(native, fd)
  const isReady = read(native, ready.readEnd, new Uint8Array(1)) === 1
  if (!isReady) waitForPid(native, child)
  const bytes = new Uint8Array(65_536)
  const text = isReady ? '' : native.decode(bytes, 0, readIfReady(native, printed.readEnd, bytes) ?? 0)
  for (const fd of [ready.readEnd, printed.readEnd]) close(native, fd)
  if (isReady) return
  const lines = text.split('\n').filter((line) => line !== '' && !/^WARNING|tapfd=/.test(line))
  throw cannotConnect('slirp4netns', lines[0] ?? 'it ended before it was ready')
}

interface Child {
  /** The pid of the process that made it. */
  readonly parent: number
  readonly ready: number
  readonly printed: { readonly readEnd: number; readonly writeEnd: number }
}

/** It keeps both ends of what it prints: nobody reads that later, a full pipe takes no more, and one without a reader would end it. */
function beProgram(engine: Engine, connecting: Connecting, { parent, ready, printed }: Child): never {
  const { native } = engine.machine
  try {
    // Until everybody sees it by its lock: nobody would find it later.
    endWith(native, parent)
    runHere(native, {
      operation: 'have slirp4netns beside the container',
      steps: [
        { call: setsid(), why: 'leave the session of the caller', see: ['setsid(2)'] },
        ...readNothing(['slirp4netns(1)']),
        handNothingElseOver,
        ...holdLock(lockPath(engine, connecting.id), 'say who slirp4netns is'),
      ],
    })
    outlive(native)
    for (const fd of [STDOUT, STDERR]) must(native, 'keep what it prints', 'dup3', printed.writeEnd, fd, 0)
    for (const fd of [ready, printed.readEnd]) must(native, 'hand it over', 'fcntl', fd, F_SETFD, 0)
    const flags = flagsOf(connecting, apiPath(engine, connecting.id), ready)
    become(native, connecting.program, ['slirp4netns', ...flags], [])
  } catch (error) {
    writeText(native, printed.writeEnd, error instanceof OperationError ? error.message : String(error))
  }
  exit(native, 127)
}

/** It answers one question a connection, with JSON. slirp4netns(1) "API SOCKET" */
function publish(native: Native, api: string, { hostAddress = '0.0.0.0', hostPort, port, protocol }: PortWish): void {
  const to = { proto: protocol, host_addr: hostAddress, host_port: hostPort, guest_port: port }
  const socket = connectUnix(native, api)
  try {
    writeText(native, socket, JSON.stringify({ execute: 'add_hostfwd', arguments: to }))
    must(native, 'ask slirp4netns', 'shutdown', socket, SHUT_WR)
    const bytes = new Uint8Array(4096)
    const answer = native.decode(bytes, 0, Math.max(0, attempt(native, 'read', socket, bytes, bytes.length)))
    if (!answer.startsWith('{"return"'))
      throw cannotConnect('slirp4netns', `it cannot have ${protocol} port ${hostPort} of ${hostAddress}`)
  } finally {
    close(native, socket)
  }
}

const GONE_MS = 10_000

/** Whatever of it is there. Its ports are free when it is gone. */
export function endSlirp4netns(engine: Engine, id: string): void {
  const path = lockPath(engine, id)
  remove(engine.machine.native, apiPath(engine, id))
  endBeside(engine, path, { signal: 'SIGKILL', waitMs: GONE_MS })
  remove(engine.machine.native, path)
}
