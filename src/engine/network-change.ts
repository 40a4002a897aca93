/**
 * What changes of a container's networks while it is there: one more or less, ports, its name. For one that does not run it is what is asked
 * for that changes; for one that runs both.
 */

import { OperationError } from '../base/errors.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { relabelAddress } from '../network/members.ts'
import { planNetworkChange } from '../plan/network.ts'
import { publish, unpublish } from '../plan/network-rules.ts'
import {
  type Connection,
  connectionOf,
  type Endpoint,
  networksOf,
  readConnection,
  writeConnection,
} from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { adviseNetwork, forwardingFor, type NetworksWish, networkNamed, refusePorts } from './container-network.ts'
import { findContainer } from './containers.ts'
import { forgetForwarding } from './forwarding.ts'
import { heldLocks, withContainerLock, withNamesLock } from './lock.ts'
import { writeRecord } from './make.ts'
import {
  boundPorts,
  endpointPlan,
  leave,
  loopbackSettings,
  networkAt,
  portEndpoint,
  publishedPorts,
  rulesFor,
} from './network-plan.ts'
import {
  namesOf,
  networkOf,
  releaseEndpoint,
  releaseNames,
  releasePorts,
  takeEndpoint,
  takePorts,
  tellNames,
  whileTaking,
} from './network-take.ts'
import { type Engine, networkFile } from './place.ts'
import type { ContainerRecord, EndpointWish, NetworkWish, PortWish } from './record.ts'
import { endResolver, isResolved, isResolving, resolverFor } from './resolver.ts'

/** Throws `conflict` if it is in it, or if it has no networks. */
export function connectNetwork(engine: Engine, id: string, wish: EndpointWish): void {
  changing(engine, id, ({ record, network }) => {
    if (network.networks.some((one) => one.network === wish.network))
      throw new OperationError({
        kind: 'conflict',
        operation: `connect ${record.name} to ${wish.network}`,
        reason: `endpoint with name ${record.name} already exists in network ${wish.network}`,
      })
    networkNamed(engine, wish.network)
    if (readConnection(engine, id) !== undefined) addEndpoint(engine, record, wish)
    return { ...network, networks: [...network.networks, wish] }
  })
}

/** Throws `missing` if it is not in it. */
export function disconnectNetwork(engine: Engine, id: string, name: string): void {
  changing(engine, id, ({ record, network }) => {
    const rest = network.networks.filter((one) => one.network !== name)
    if (rest.length === network.networks.length)
      throw new OperationError({
        kind: 'missing',
        operation: `disconnect ${record.name} from ${name}`,
        reason: `container ${record.name} is not connected to network ${name}`,
        hint: `it is in: ${network.networks.map((one) => one.network).join(' ') || 'none'}`,
      })
    const endpoint = readConnection(engine, id)?.endpoints.find((one) => one.network === name)
    if (endpoint !== undefined) removeEndpoint(engine, record, endpoint)
    return { ...network, networks: rest }
  })
}

interface Changing {
  readonly record: ContainerRecord
  readonly network: NetworksWish
}

/** Nobody starts it or cleans up behind it meanwhile. What a killed command left half done, or whole but not asked for, goes first. */
function changing(engine: Engine, id: string, body: (now: Changing) => NetworksWish): void {
  withContainerLock(engine, id, () => {
    const { record } = findContainer(engine, id)
    const network = wishOf(record)
    for (const endpoint of readConnection(engine, id)?.endpoints ?? [])
      if (!endpoint.isWhole || wishFor(network, endpoint) === undefined) removeEndpoint(engine, record, endpoint)
    movePorts(engine, record, { wishes: network.ports, takesMissing: false })
    const next = body({ record, network })
    // Somebody may have renamed it meanwhile.
    withNamesLock(engine, () => writeRecord(engine, { ...findContainer(engine, id).record, network: next }))
  })
}

const wishFor = ({ networks }: NetworksWish, { network }: Endpoint): EndpointWish | undefined =>
  networks.find((one) => one.network === network)

function wishOf({ name, network }: ContainerRecord): NetworksWish {
  if (network.kind === 'networks') return network
  throw new OperationError({
    kind: 'conflict',
    operation: `change the networks of ${name}`,
    reason: WHY_NONE[network.kind],
    hint: 'make it with --network and the name of a network',
  })
}

const WHY_NONE: Readonly<Record<Exclude<NetworkWish['kind'], 'networks'>, string>> = {
  none: 'container cannot be connected to multiple networks with one of the networks in private (none) mode',
  joined: 'container sharing network namespace with another container or host cannot be connected to any other network',
  egress: 'container with a list of hosts (--egress) has no network beside them',
  pasta: 'it is connected by pasta, as without root there are no networks',
  slirp4netns: 'it is connected by slirp4netns, as without root there are no networks',
}

function addEndpoint(engine: Engine, record: ContainerRecord, wish: EndpointWish): void {
  const { id } = record
  const taken = withNamesLock(engine, () => {
    const network = networkOf(engine, wish.network)
    const before = connectionOf(engine, id)
    const numbers = new Set(before.endpoints.map(({ inside }) => inside))
    let number = 0
    while (numbers.has(`eth${number}`)) number++
    const { record } = findContainer(engine, id)
    const endpoint = whileTaking(engine, id, () => {
      const one = takeEndpoint(engine, { record, network, wish, number })
      writeConnection(engine, id, { ...before, endpoints: [...before.endpoints, { ...one, isWhole: false }] })
      return one
    })
    tellNames(engine, id, endpoint)
    return { network, before, endpoint, settings: forwardingFor(engine, [network]) }
  })
  const { network, before, endpoint, settings } = taken
  const after: Connection = { ...before, endpoints: [...before.endpoints, endpoint] }
  const open = portEndpoint(engine, before) === undefined ? portEndpoint(engine, after) : undefined
  const ports = publishedPorts(after.ports, open)
  try {
    change(engine, record, after, {
      add: [endpoint],
      rules: rulesFor(engine, [network], ports),
      settings: [...settings, ...loopbackSettings(engine, open, ports)],
    })
    withNamesLock(engine, () => {
      const now = connectionOf(engine, id)
      const endpoints = now.endpoints.map((one) => ({ ...one, isWhole: true }))
      writeConnection(engine, id, { ...now, endpoints })
    })
    rewriteNamedFiles(engine, record.intent, after)
  } catch (error) {
    removeEndpoint(engine, record, endpoint)
    throw error
  }
}

function removeEndpoint(engine: Engine, record: ContainerRecord, { network: name }: Endpoint): void {
  const { id } = record
  const after = withNamesLock(engine, () => {
    const before = connectionOf(engine, id)
    const endpoint = before.endpoints.find(({ network }) => network === name)
    if (endpoint === undefined) return before
    const staying = before.endpoints.filter(({ network }) => network !== endpoint.network)
    const left: Connection = { ...before, endpoints: staying }
    writeConnection(engine, id, { ...before, endpoints: [...staying, { ...endpoint, isWhole: false }] })
    const [from, to] = [portEndpoint(engine, before), portEndpoint(engine, left)]
    const moves = from?.network === endpoint.network
    const ports = publishedPorts(before.ports, moves ? to : undefined)
    const gone = leave(engine, id, {
      leaving: [endpoint],
      staying,
      ports: moves ? publishedPorts(before.ports, from) : [],
    })
    change(engine, record, left, {
      remove: [endpoint],
      rules: [...gone.rules, ...(ports.length === 0 ? [] : [publish(ports)])],
      settings: [...gone.settings, ...loopbackSettings(engine, to, ports)],
    })
    if (gone.isLast) forgetForwarding(engine)
    releaseEndpoint(engine, id, endpoint)
    writeConnection(engine, id, left)
    return left
  })
  rewriteNamedFiles(engine, record.intent, after)
}

interface Change {
  readonly add?: readonly Endpoint[]
  readonly remove?: readonly Endpoint[]
  readonly rules: readonly Uint8Array[]
  readonly settings: readonly (readonly [string, string])[]
}

/** With another connection there is another name server; what it is asked meanwhile is asked again. */
function change(
  engine: Engine,
  record: ContainerRecord,
  connection: Connection | undefined,
  { add = [], remove = [], ...rest }: Change,
): void {
  const { id, name } = record
  if (connection !== undefined) endResolver(engine, id)
  const program = connection === undefined ? undefined : resolverFor(engine, record, connection)
  const planned = (endpoints: readonly Endpoint[]): readonly ReturnType<typeof endpointPlan>[] =>
    endpoints.flatMap((endpoint) => {
      const network = networkAt(engine, endpoint.network)
      return network === undefined ? [] : [endpointPlan(engine, network, endpoint)]
    })
  const plan = planNetworkChange({
    name,
    file: networkFile(engine, id),
    add: planned(add),
    remove: planned(remove),
    resolver: program?.resolver,
    ...rest,
  })
  try {
    runPlan(engine.machine.native, plan, {
      advise: adviseNetwork,
      extraFds: [...(program?.extraFds ?? []), ...heldLocks()],
    })
  } finally {
    program?.done()
  }
}

export interface PortChange {
  readonly add: readonly PortWish[]
  readonly remove: readonly PortWish[]
}

/** Ports of a container, at once if it runs. One that it has already stays; throws `missing` for one that it has not. */
export function changePorts(engine: Engine, id: string, { add, remove }: PortChange): void {
  changing(engine, id, ({ record, network }) => {
    const goes = (port: PortWish): boolean => remove.some((one) => meant(one, port))
    const absent = remove.find((one) => !network.ports.some((port) => meant(one, port)))
    if (absent !== undefined)
      throw new OperationError({
        kind: 'missing',
        operation: `change the ports of ${record.name}`,
        reason: `it does not publish ${absent.hostPort === 0 ? '' : `${absent.hostPort}:`}${absent.port}/${absent.protocol}`,
        hint: `coffer port ${record.name} lists them`,
      })
    const kept = network.ports.filter((port) => !goes(port))
    const fresh = boundPorts(engine, network.networks, add).filter(
      (port) => port.hostPort === 0 || !kept.some((one) => meant(port, one)),
    )
    const next = { ...network, ports: [...kept, ...fresh] }
    refusePorts(
      record,
      next,
      next.networks.map((one) => networkNamed(engine, one.network)),
    )
    movePorts(engine, record, { wishes: next.ports, takesMissing: true })
    // What somebody was killed at who removed them from its connection.
    withNamesLock(engine, () => releasePorts(engine, id, network.ports.filter(goes)))
    return next
  })
}

/** With `PORT` alone whichever port of this machine leads to it. */
const meant = (one: PortWish, port: PortWish): boolean =>
  one.port === port.port &&
  one.protocol === port.protocol &&
  (one.hostPort === 0 || (one.hostPort === port.hostPort && one.hostAddress === port.hostAddress))

interface Move {
  readonly wishes: readonly PortWish[]
  /** Whether what is asked for and not there is taken, too. */
  readonly takesMissing: boolean
}

/** Ports of one that runs become those that are asked for. */
function movePorts(engine: Engine, record: ContainerRecord, { wishes, takesMissing }: Move): void {
  const { id } = record
  if (readConnection(engine, id) === undefined) return
  withNamesLock(engine, () => {
    const connection = connectionOf(engine, id)
    const { missing, unwanted } = apart(wishes, connection.ports)
    const isSame = unwanted.length === 0 && (!takesMissing || missing.length === 0)
    if (isSame) return
    whileTaking(engine, id, () => {
      const taken = takesMissing ? takePorts(engine, id, missing) : []
      exchange(engine, record, connection, { taken, unwanted })
    })
  })
}

interface Exchange {
  readonly taken: readonly PortWish[]
  readonly unwanted: readonly PortWish[]
}

function exchange(
  engine: Engine,
  record: ContainerRecord,
  connection: Connection,
  { taken, unwanted }: Exchange,
): void {
  const { id } = record
  writeConnection(engine, id, { ...connection, ports: [...connection.ports, ...taken] })
  const ports = [...connection.ports.filter((port) => !unwanted.includes(port)), ...taken]
  const endpoint = portEndpoint(engine, connection)
  const [before, after] = [publishedPorts(unwanted, endpoint), publishedPorts(ports, endpoint)]
  change(engine, record, undefined, {
    rules: [...(before.length === 0 ? [] : [unpublish(before)]), ...(after.length === 0 ? [] : [publish(after)])],
    settings: loopbackSettings(engine, endpoint, after),
  })
  writeConnection(engine, id, { ...connection, ports })
  releasePorts(engine, id, unwanted)
}

/** What is asked for and not there, and what is there and not asked for. Who wants one port chooses first, and who takes any last. */
function apart(
  wishes: readonly PortWish[],
  ports: readonly PortWish[],
): { readonly missing: readonly PortWish[]; readonly unwanted: readonly PortWish[] } {
  const unwanted = [...ports]
  const missing = [...wishes]
    .sort((one, other) => choices(one) - choices(other))
    .filter((wish) => {
      const at = unwanted.findIndex((port) => fulfils(port, wish))
      return at < 0 || unwanted.splice(at, 1).length === 0
    })
  return { missing, unwanted }
}

const choices = ({ hostPort, hostPortLast = hostPort }: PortWish): number =>
  hostPort === 0 ? 65536 : hostPortLast - hostPort

const fulfils = (port: PortWish, { hostPort, hostPortLast = hostPort, ...wish }: PortWish): boolean =>
  port.port === wish.port &&
  port.protocol === wish.protocol &&
  port.hostAddress === wish.hostAddress &&
  (hostPort === 0 || (port.hostPort >= hostPort && port.hostPort <= hostPortLast))

/** Whether it runs without the name server that it had: somebody killed that. */
export function lacksResolver(engine: Engine, id: string): boolean {
  const connection = readConnection(engine, id)
  return connection !== undefined && isResolved(connection) && !isResolving(engine, id)
}

/** For who holds the lock of the container. */
export const restoreResolver = (engine: Engine, record: ContainerRecord): void =>
  change(engine, record, connectionOf(engine, record.id), { rules: [], settings: [] })

/** What others in its networks call it, where that is not what it is called now. */
function renamedEndpoints({ id, network, ...record }: ContainerRecord, { endpoints }: Connection): readonly Endpoint[] {
  if (network.kind !== 'networks') return []
  return endpoints.flatMap((one) => {
    const wish = wishFor(network, one)
    if (wish === undefined || one.names.length === 0) return []
    const names = namesOf({ id, ...record }, wish)
    return names.join() === one.names.join() ? [] : [{ ...one, names }]
  })
}

/** Whether somebody was killed who renamed it. */
export function hasOldNames(engine: Engine, record: ContainerRecord): boolean {
  const connection = readConnection(engine, record.id)
  return connection !== undefined && renamedEndpoints(record, connection).length > 0
}

/** Others find it by its new name; for who holds the lock of names. Until all is done its connection has the names of both. */
export function renameEndpoints(engine: Engine, record: ContainerRecord): void {
  const { id, name } = record
  const before = readConnection(engine, id)
  if (before === undefined) return
  const renamed = renamedEndpoints(record, before)
  const endpointsWith = (namesOfOne: (one: Endpoint, names: readonly string[]) => readonly string[]): Connection => ({
    ...before,
    endpoints: before.endpoints.map((one) => {
      const other = renamed.find(({ network }) => network === one.network)
      return other === undefined ? one : { ...one, names: namesOfOne(one, other.names) }
    }),
  })
  writeConnection(
    engine,
    id,
    endpointsWith((one, names) => [...new Set([...one.names, ...names])]),
  )
  for (const endpoint of renamed) {
    const old = before.endpoints.find(({ network }) => network === endpoint.network)?.names ?? []
    for (const { address } of endpoint.addresses)
      relabelAddress(networksOf(engine), endpoint.network, address, { id, name })
    releaseNames(engine, id, { ...endpoint, names: old.filter((known) => !endpoint.names.includes(known)) })
    tellNames(engine, id, endpoint)
  }
  writeConnection(
    engine,
    id,
    endpointsWith((_, names) => names),
  )
}
