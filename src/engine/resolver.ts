/**
 * The name server beside a container that is in networks with names: native/resolver.c. It lives as long as the container is connected.
 *
 *     RUNROOT/.netns/ID.names    locked by it, so that everybody sees whether it lives, and which process it is. fcntl(2)
 */

import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { close, memoryFile, open, remove } from '../executor/embedded-files.ts'
import { F_GETLK, F_WRLCK, FLOCK_PID, flockOf, O_RDWR } from '../linux/files.ts'
import { signalNumber } from '../linux/signals.ts'
import { addressHex, parseAddress } from '../network/address.ts'
import { networksPath } from '../network/networks.ts'
import type { Resolver } from '../plan/network-resolver.ts'
import type { Connection } from './connection.ts'
import { networkAt } from './network-plan.ts'
import { hasNames } from './network-take.ts'
import { type Engine, networkFile } from './place.ts'
import { randomHex } from './random.ts'
import type { ContainerRecord } from './record.ts'

const lockPath = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.names`

export const isResolved = ({ endpoints }: Connection): boolean => endpoints.some(({ network }) => hasNames(network))

/** The descriptor of the program in the executor: the first that is passed on. */
const IMAGE_FD = 5
const FIRST_PORT = 49152

export interface ResolverProgram {
  readonly resolver: Resolver | undefined
  readonly extraFds: readonly number[]
  readonly done: () => void
}

/** What a plan needs to start one, if the connection wants one. */
export function resolverFor(engine: Engine, record: ContainerRecord, connection: Connection): ResolverProgram {
  const { native } = engine.machine
  if (!isResolved(connection)) return { resolver: undefined, extraFds: [], done: () => undefined }
  const image = memoryFile(native, 'coffer-resolver', new Uint8Array(native.resolverImage()))
  const resolver: Resolver = {
    image: IMAGE_FD,
    lock: lockPath(engine, record.id),
    root: networksPath(engine),
    port: FIRST_PORT + (Number.parseInt(randomHex(native, 2), 16) % (65536 - FIRST_PORT)),
    servers: serversOf(engine, record, connection),
    networks: connection.endpoints.map(({ network }) => network).filter(hasNames),
    architecture: native.architecture,
  }
  return { resolver, extraFds: [image], done: () => close(native, image) }
}

/** Those of this machine, which the name server asks from this machine's network; none for who has no way out (S236). */
function serversOf(engine: Engine, { intent }: ContainerRecord, { endpoints }: Connection): readonly string[] {
  if (endpoints.every(({ network }) => networkAt(engine, network)?.isInternal === true)) return []
  const lines = (engine.machine.files.readText('/etc/resolv.conf') ?? '').split('\n')
  const ofHost = lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
  const asked = intent.names?.servers ?? []
  return (asked.length > 0 ? asked : ofHost).flatMap((text) => {
    const address = parseAddress(text.replace(/%.*$/, ''))
    return address === undefined ? [] : [addressHex(address)]
  })
}

/** Undefined if none lives. */
function withResolver(engine: Engine, id: string, body: (pid: () => number) => void): void {
  const { native, files } = engine.machine
  const path = lockPath(engine, id)
  if (files.status(path) === undefined) return
  const fd = open(native, path, O_RDWR)
  try {
    body(() => holderOf(native, fd))
  } finally {
    close(native, fd)
  }
}

/** 0 for nobody. */
function holderOf(native: Native, fd: number): number {
  const lock = flockOf(F_WRLCK)
  const F_UNLCK = 2
  if (attempt(native, 'fcntl', fd, F_GETLK, lock) < 0 || lock[0] === F_UNLCK) return 0
  return new DataView(lock.buffer).getInt32(FLOCK_PID, true)
}

export function isResolving(engine: Engine, id: string): boolean {
  let found = false
  withResolver(engine, id, (pid) => {
    found = pid() > 0
  })
  return found
}

/** The pid is that of the holder still once it is held on to. */
export function endResolver(engine: Engine, id: string): void {
  const { native } = engine.machine
  withResolver(engine, id, (holder) => {
    const pid = holder()
    if (pid <= 0) return
    const pidfd = attempt(native, 'pidfd_open', pid, 0)
    if (pidfd < 0) return
    if (holder() === pid) attempt(native, 'pidfd_send_signal', pidfd, signalNumber('SIGKILL'), null, 0)
    close(native, pidfd)
  })
  remove(native, lockPath(engine, id))
}
