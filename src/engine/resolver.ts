/**
 * The name server beside a container that is in networks with names: native/resolver.c. It lives as long as the container is connected.
 *
 *     RUNROOT/.netns/ID.names    locked by it, so that everybody sees whether it lives, and which process it is. fcntl(2)
 */

import { close, memoryFile } from '../executor/embedded-files.ts'
import { addressHex, parseAddress } from '../network/address.ts'
import { networksPath } from '../network/networks.ts'
import type { Resolver } from '../plan/network-resolver.ts'
import { killBeside, lives } from './beside.ts'
import type { Connection } from './connection.ts'
import { networkAt } from './network-plan.ts'
import { type Connectable, hasNames } from './network-take.ts'
import { type Engine, networkFile } from './place.ts'
import { randomHex } from './random.ts'

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
export function resolverFor(engine: Engine, record: Connectable, connection: Connection): ResolverProgram {
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
function serversOf(engine: Engine, record: Connectable, { endpoints }: Connection): readonly string[] {
  if (endpoints.every(({ network }) => networkAt(engine, network)?.isInternal === true)) return []
  return outerServers(engine, record).map(addressHex)
}

/** Those of --dns, or of this machine. resolv.conf(5) */
export function outerServers(
  { machine: { files } }: Pick<Engine, 'machine'>,
  { intent }: Pick<Connectable, 'intent'>,
): readonly Uint8Array[] {
  const lines = (files.readText('/etc/resolv.conf') ?? '').split('\n')
  const ofHost = lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
  const asked = intent.names?.servers ?? []
  return (asked.length > 0 ? asked : ofHost).flatMap((text) => parseAddress(text.replace(/%.*$/, '')) ?? [])
}

export const isResolving = (engine: Engine, id: string): boolean => lives(engine, lockPath(engine, id))

export const endResolver = (engine: Engine, id: string): void => killBeside(engine, lockPath(engine, id))
