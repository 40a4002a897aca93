/**
 * The network of a container of the engine, from its start to its end; network-change.ts is what changes in between.
 *
 *     connectContainer      addresses, a namespace with a way to each of its networks, its ports and its names
 *     disconnectContainer   all of that taken back; whatever of it is there
 */

import { OperationError } from '../base/errors.ts'
import { makeDirectory, remove } from '../executor/embedded-files.ts'
import type { Report } from '../executor/report.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { isIpv6 } from '../network/address.ts'
import { withForeseen } from '../network/foreseen.ts'
import { createNetwork, DEFAULT_NETWORK, defaultNetwork, type NetworkRecord, readNetwork } from '../network/networks.ts'
import { type NetworkRequest, planNetwork, planNetworkRemoval, type Setting } from '../plan/network.ts'
import type { Plan } from '../plan/plan.ts'
import {
  CONNECTION_FILE,
  type Connection,
  connectionOf,
  type Endpoint,
  networksOf,
  readConnection,
  writeConnection,
} from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { findContainer } from './containers.ts'
import { endEgress } from './egress.ts'
import { foreignDrops } from './foreign-rules.ts'
import { forgetForwarding, wantForwarding } from './forwarding.ts'
import { forgetHeld } from './held-network.ts'
import { tellLinked } from './linked.ts'
import { heldLocks, withNamesLock } from './lock.ts'
import {
  bytesOf,
  endpointPlan,
  isOpen,
  leave,
  loopbackSettings,
  portEndpoint,
  publishedPorts,
  rulesFor,
} from './network-plan.ts'
import {
  type Connectable,
  networkOf,
  releaseEndpoint,
  releasePorts,
  takeEndpoint,
  takePorts,
  tellNames,
  whileTaking,
} from './network-take.ts'
import { endPasta } from './pasta.ts'
import { containerPath, type Engine, isBox, networkDirectory, networkFile } from './place.ts'
import { newId } from './random.ts'
import type { ContainerRecord, NetworkWish } from './record.ts'
import { endResolver, resolverFor } from './resolver.ts'
import { endSlirp4netns } from './slirp4netns.ts'

export type NetworksWish = Extract<NetworkWish, { readonly kind: 'networks' }>

export interface Hears {
  readonly warn: (text: string) => void
  /** For explain: what each step of the plan did. */
  readonly ran?: ((plan: Plan, trace: Report['trace']) => void) | undefined
}

/** Answers the file of its network namespace. */
export function connectContainer(
  engine: Engine,
  record: Connectable,
  wish: NetworksWish,
  { warn, ran }: Hears,
): string {
  const { native, files } = engine.machine
  const { id } = record
  disconnectContainer(engine, id)
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectory(native, directory, 0o700)
  for (const { network } of wish.networks) networkNamed(engine, network)
  const taken = withNamesLock(engine, () => take(engine, isBox(id) ? record : findContainer(engine, id).record, wish))
  const { connection, networks } = taken
  const { resolver, extraFds, done } = resolverFor(engine, record, connection)
  // Behind a batch of ours the end of the question would take milliseconds: plan/network-filter.ts.
  const drops = networks.filter(isOpen).flatMap(({ device }) => foreignDrops(native, device))
  try {
    const plan = planTaken(engine, record, { ...taken, resolver })
    const options = { advise: adviseNetwork, extraFds: [...extraFds, ...heldLocks()], trace: ran !== undefined }
    const { trace } = runPlan(native, plan, options)
    ran?.(plan, trace)
    rewriteNamedFiles(engine, record.intent, connection)
    tellLinked(engine, id)
    for (const text of drops) warn(text)
  } catch (error) {
    disconnectContainer(engine, id)
    throw error
  } finally {
    done()
  }
  return networkFile(engine, id)
}

/** The plan of connectContainer for a container that is not made yet. Nothing is taken. */
export function foreseeConnection(engine: Engine, record: Connectable, wish: NetworksWish): Plan {
  const foreseen = { texts: new Map<string, string>(), links: new Map<string, string>() }
  const { machine } = engine
  const looking = { ...engine, foreseen, machine: { ...machine, files: withForeseen(machine.files, foreseen) } }
  for (const { network } of wish.networks) networkNamed(looking, network)
  const taken = take(looking, record, wish)
  const { resolver, done } = resolverFor(looking, record, taken.connection)
  done()
  return planTaken(looking, record, { ...taken, resolver })
}

interface Connecting extends Taken {
  readonly resolver: NetworkRequest['resolver']
}

function planTaken(
  engine: Engine,
  { id, name }: Connectable,
  { connection, settings, networks, resolver }: Connecting,
): Plan {
  const endpoint = portEndpoint(engine, connection)
  const ports = publishedPorts(connection.ports, endpoint)
  return planNetwork({
    name,
    file: networkFile(engine, id),
    endpoints: connection.endpoints.flatMap((one, index) => {
      const network = networks[index]
      return network === undefined ? [] : [endpointPlan(engine, network, one)]
    }),
    rules: rulesFor(engine, networks, ports),
    settings: [...settings, ...loopbackSettings(engine, endpoint, ports)],
    resolver,
  })
}

export const adviseNetwork = (
  _: unknown,
  errno: string,
): { readonly hint: string; readonly see: readonly ['capabilities(7)'] } | undefined =>
  errno === 'EPERM' ? { hint: NEEDS_PRIVILEGE, see: ['capabilities(7)'] } : undefined

const NEEDS_PRIVILEGE =
  'networks need CAP_NET_ADMIN over the network of this machine; without it: --network none, or host'

/** The default one is made when it is first wanted. */
export function networkNamed(engine: Engine, name: string): NetworkRecord {
  const networks = networksOf(engine)
  if (name !== DEFAULT_NETWORK || readNetwork(networks, name) !== undefined) return networkOf(engine, name)
  return withNamesLock(
    engine,
    () =>
      readNetwork(networks, name) ??
      createNetwork(networks, defaultNetwork(newId(engine.machine.native), engine.machine.now().toISOString())),
  )
}

interface Taken {
  readonly networks: readonly NetworkRecord[]
  readonly connection: Connection
  readonly settings: readonly Setting[]
}

/** For who holds the lock of names: what a network and the container are called now counts. */
function take(engine: Engine, record: Connectable, wish: NetworksWish): Taken {
  const { id } = record
  const networks = wish.networks.map(({ network }) => networkOf(engine, network))
  refusePorts(record, wish, networks)
  const connection = whileTaking(engine, id, () => {
    const endpoints: Endpoint[] = []
    const ports = takePorts(engine, id, wish.ports)
    try {
      networks.forEach((network, number) => {
        const one = wish.networks[number]
        if (one !== undefined) endpoints.push(takeEndpoint(engine, { record, network, wish: one, number }))
      })
    } catch (error) {
      releasePorts(engine, id, ports)
      for (const endpoint of endpoints) releaseEndpoint(engine, id, endpoint)
      throw error
    }
    const taken: Connection = { endpoints, ports }
    writeConnection(engine, id, taken)
    return taken
  })
  for (const endpoint of connection.endpoints) tellNames(engine, id, endpoint)
  return { networks, connection, settings: forwardingFor(engine, networks) }
}

/** Where nothing leads in, nothing is published. */
export function refusePorts(
  { name }: Pick<ContainerRecord, 'name'>,
  { ports }: NetworksWish,
  networks: readonly NetworkRecord[],
): void {
  const open = networks.filter(isOpen)
  if (ports.length > 0 && open.length === 0)
    throw new OperationError({
      kind: 'invalid',
      operation: `publish ports of ${name}`,
      reason:
        networks.length === 0 ? 'it has no network' : 'all its networks are internal, or on a device of this machine',
      hint: 'coffer network connect it to one that is not, or leave --publish away',
    })
  const hasSix = open[0]?.pools.some(({ subnet }) => subnet.includes(':')) ?? false
  const six = ports.find(({ hostAddress }) => hostAddress !== undefined && isIpv6(bytesOf(hostAddress)))
  if (six !== undefined && !hasSix)
    throw new OperationError({
      kind: 'invalid',
      operation: `publish ports of ${name}`,
      reason: `${six.hostAddress} is an address of IPv6, and its network has none`,
      hint: 'make one with: coffer network create --ipv6',
    })
}

/** What has no way out needs no routing. */
export const forwardingFor = (engine: Engine, networks: readonly NetworkRecord[]): readonly Setting[] => {
  const open = networks.filter(isOpen)
  if (open.length === 0) return []
  return wantForwarding(engine, { ipv6: open.some(({ pools }) => pools.some(({ subnet }) => subnet.includes(':'))) })
}

/** Whatever of a connection is there. */
export function disconnectContainer(engine: Engine, id: string): void {
  const { native, files } = engine.machine
  const file = networkFile(engine, id)
  endResolver(engine, id)
  endEgress(engine, id)
  const known = readConnection(engine, id)
  if (known === undefined) {
    const nothing = { name: id, file, rules: [], settings: [] }
    if (files.status(file) !== undefined) runPlan(native, planNetworkRemoval(nothing), { extraFds: heldLocks() })
    return
  }
  if (known.program !== undefined || known.isHeld === true) {
    forgetHeld(engine, id)
    if (known.program === 'pasta') endPasta(engine, id)
    if (known.program === 'slirp4netns') endSlirp4netns(engine, id)
    if (known.ports.length > 0) withNamesLock(engine, () => releasePorts(engine, id, known.ports))
    remove(native, `${containerPath(engine, id)}/${CONNECTION_FILE}`)
    return
  }
  withNamesLock(engine, () => {
    const connection = connectionOf(engine, id)
    const { endpoints } = connection
    const ports = publishedPorts(connection.ports, portEndpoint(engine, connection))
    const { isLast, ...rest } = leave(engine, id, { leaving: endpoints, staying: [], ports })
    runPlan(native, planNetworkRemoval({ name: id, file, ...rest }), { extraFds: heldLocks() })
    if (isLast) forgetForwarding(engine)
    releasePorts(engine, id, connection.ports)
    for (const endpoint of endpoints) releaseEndpoint(engine, id, endpoint)
    remove(native, `${containerPath(engine, id)}/${CONNECTION_FILE}`)
  })
}
