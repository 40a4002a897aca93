/** What a container takes of networks: addresses, names and ports. To be called by one at a time. */

import { OperationError } from '../base/errors.ts'
import { whyTaken } from '../executor/embedded-ports.ts'
import { parseAddress, parseSubnet } from '../network/address.ts'
import {
  addNames,
  beginTaking,
  endTaking,
  releaseAddress,
  releaseOtherPorts,
  releaseOthers,
  releasePort,
  removeNames,
  takeAddress,
  takePort,
  whoTakes,
} from '../network/members.ts'
import {
  DEFAULT_NETWORK,
  findNetwork,
  listNetworks,
  NETWORK_NAME,
  type NetworkRecord,
  type Pool,
} from '../network/networks.ts'
import { type Endpoint, networksOf, readConnection } from './connection.ts'
import type { Intent } from './intent.ts'
import { type Engine, isBox } from './place.ts'
import { randomHex } from './random.ts'
import type { ContainerRecord, EndpointWish, PortWish } from './record.ts'

/** Names are resolved where somebody made the network for it, as docker has it. */
export const hasNames = (network: string): boolean => network !== DEFAULT_NETWORK

/** What networks have to know of a container, or of a box of the library. */
export type Connectable = Pick<ContainerRecord, 'id' | 'name'> & {
  readonly intent: Pick<Intent, 'hostname' | 'domainname' | 'namespaces' | 'names'>
}

export interface EndpointRequest {
  readonly record: Connectable
  readonly network: NetworkRecord
  readonly wish: EndpointWish
  /** The number of its device. */
  readonly number: number
}

/** What a container takes, up to its connection, in which all of it is; and what it gives back. Who is killed in between leaves a mark. */
export function whileTaking<Result>(engine: Engine, id: string, body: () => Result): Result {
  if (engine.foreseen !== undefined) return body()
  const networks = networksOf(engine)
  releaseLeft(engine)
  beginTaking(networks, id)
  try {
    return body()
  } finally {
    endTaking(networks)
  }
}

/** For who holds the lock of names: nobody else takes anything then. */
export function releaseLeft(engine: Engine): void {
  const networks = networksOf(engine)
  if (whoTakes(networks) === undefined) return
  for (const { name } of listNetworks(networks)) releaseOthers(networks, name, (id) => isIn(engine, id, name))
  releaseOtherPorts(networks, (id) => readConnection(engine, id)?.ports ?? [])
  endTaking(networks)
}

/** Somebody takes addresses or ports, or was killed at it. */
export const isTaking = (engine: Engine): boolean => whoTakes(networksOf(engine)) !== undefined

/** Throws `conflict` for an address that is taken, `exhausted` if all are. Its names are not told yet. */
export function takeEndpoint(engine: Engine, request: EndpointRequest): Endpoint {
  const { record, network, wish, number } = request
  refuseAddress(network, wish)
  const taken: string[] = []
  try {
    for (const pool of network.pools) taken.push(takeFrom(engine, request, pool))
  } catch (error) {
    for (const address of taken) releaseAddress(networksOf(engine), network.name, address)
    throw error
  }
  return {
    network: network.name,
    inside: `eth${number}`,
    // Another one at each start: the kernel takes its time with the devices of a namespace that is gone.
    outside: `cof${randomHex(engine.machine.native, 6)}`,
    addresses: network.pools.map((pool, index) => ({
      address: taken[index] ?? '',
      prefixLength: parseSubnet(pool.subnet, 'the network').prefixLength,
      gateway: pool.gateway,
    })),
    // That of the device which it is on.
    hardwareAddress: network.driver === 'ipvlan' ? '' : (wish.hardwareAddress ?? hardwareAddressOf(taken[0] ?? '')),
    names: hasNames(network.name) ? namesOf(record, wish) : [],
    isWhole: true,
  }
}

function refuseAddress({ name, pools }: NetworkRecord, { address6 }: EndpointWish): void {
  if (address6 === undefined || pools.some(({ subnet }) => subnet.includes(':'))) return
  throw new OperationError({
    kind: 'invalid',
    operation: `take the address ${address6}`,
    reason: `network ${name} has no addresses of IPv6`,
    hint: 'make one with: coffer network create --ipv6',
  })
}

/** When all are taken, those that a killed command left are free. */
function takeFrom(engine: Engine, { record, network, wish }: EndpointRequest, pool: Pool): string {
  const networks = networksOf(engine)
  const wanted = pool.subnet.includes(':') ? wish.address6 : wish.address
  const take = (): string => takeAddress(networks, { network, pool }, record, wanted)
  try {
    return take()
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind === 'invalid') throw error
    releaseOthers(networks, network.name, (id) => isIn(engine, id, network.name))
    return take()
  }
}

export const isIn = (engine: Engine, id: string, network: string): boolean =>
  readConnection(engine, id)?.endpoints.some((one) => one.network === network) ?? false

/** Locally administered, and as unique in the network as the address. */
const hardwareAddressOf = (address: string): string =>
  [2, 0x42, ...(parseAddress(address) ?? [])].map((byte) => byte.toString(16).padStart(2, '0')).join(':')

/** By which others in the network find it. A host name may be anything that the kernel takes, and these are names of files. */
export const namesOf = ({ name, id, intent }: Connectable, { aliases }: EndpointWish): readonly string[] => [
  ...new Set([
    name,
    ...(isBox(id) ? [] : [id.slice(0, 12)]),
    ...[intent.hostname].filter((text) => NETWORK_NAME.test(text)),
    ...aliases,
  ]),
]

const addressesOf = ({ addresses }: Endpoint): readonly string[] => addresses.map(({ address }) => address)

export const tellNames = (engine: Engine, id: string, { network, names, ...one }: Endpoint): void =>
  addNames(networksOf(engine), id, { network, names, addresses: one.addresses.map(({ address }) => address) })

export const releaseNames = (engine: Engine, id: string, { network, names }: Endpoint): void =>
  removeNames(networksOf(engine), id, { network, names })

/** Whatever of it is there. */
export function releaseEndpoint(engine: Engine, id: string, endpoint: Endpoint): void {
  const networks = networksOf(engine)
  releaseNames(engine, id, endpoint)
  for (const address of addressesOf(endpoint)) releaseAddress(networks, endpoint.network, address)
}

/** What `update` of docker's network says of one that is asked for by name. Throws `missing`. */
export const networkOf = (engine: Engine, name: string): NetworkRecord => findNetwork(networksOf(engine), name)

const FIRST_FREE_PORT = 32768
const FREE_PORTS = 28232

/** Throws `conflict` for a port that somebody has, with docker's words; none of them is taken then. */
export function takePorts(engine: Engine, id: string, wishes: readonly PortWish[]): readonly PortWish[] {
  const networks = networksOf(engine)
  const taken: PortWish[] = []
  try {
    for (const wish of wishes) taken.push(takeOne(engine, id, wish, taken))
  } catch (error) {
    for (const port of taken) releasePort(networks, id, port)
    throw error
  }
  return taken
}

function takeOne(engine: Engine, id: string, wish: PortWish, taken: readonly PortWish[]): PortWish {
  const { hostPort, hostPortLast = hostPort, ...rest } = wish
  const candidates = hostPort === 0 ? freePorts(engine) : range(hostPort, hostPortLast)
  let refusal = ''
  for (const port of candidates) {
    const one: PortWish = { ...rest, hostPort: port }
    refusal = take(engine, id, one, taken) ?? ''
    if (refusal === '') return one
  }
  const place = `${placeText(wish)}:${hostPort}${hostPortLast === hostPort ? '' : `-${hostPortLast}`}`
  throw new OperationError({
    kind: 'conflict',
    operation: `publish port ${hostPort}`,
    reason: `Bind for ${place} failed: ${refusal}`,
    hint: 'coffer ps shows what containers have; choose another port, or an address of this machine',
  })
}

export const placeText = ({ hostAddress = '0.0.0.0' }: Pick<PortWish, 'hostAddress'>): string =>
  hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress

function* range(first: number, last: number): Generator<number> {
  for (let port = first; port <= last; port++) yield port
}

/** From a random one on: behind the first ones there are many. */
function* freePorts({ machine }: Engine): Generator<number> {
  const start = Number.parseInt(randomHex(machine.native, 2), 16)
  for (let round = 0; round < FREE_PORTS; round++) yield FIRST_FREE_PORT + ((start + round) % FREE_PORTS)
}

/** Answers why not. `taken`: what it has beside that of its connection. */
function take(engine: Engine, id: string, port: PortWish, taken: readonly PortWish[]): string | undefined {
  const networks = networksOf(engine)
  const heldBy = (holder: string): readonly PortWish[] => [
    ...(readConnection(engine, holder)?.ports ?? []),
    ...(holder === id ? taken : []),
  ]
  if (!takePort(networks, id, port, heldBy)) return 'port is already allocated'
  const address = parseAddress(port.hostAddress ?? '0.0.0.0') ?? new Uint8Array(4)
  const refusal = whyTaken(engine.machine.native, { address, port: port.hostPort, protocol: port.protocol })
  if (refusal !== undefined) releasePort(networks, id, port)
  return refusal
}

export function releasePorts(engine: Engine, id: string, ports: readonly PortWish[]): void {
  for (const port of ports) releasePort(networksOf(engine), id, port)
}
