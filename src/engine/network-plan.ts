/** A connection as what a plan makes of it, and what goes when it does. */

import { parseAddress, parseSubnet } from '../network/address.ts'
import { leaseHolders } from '../network/members.ts'
import { HOST_BINDING, listNetworks, mtuOf, type NetworkRecord, readNetwork } from '../network/networks.ts'
import type { Setting } from '../plan/network.ts'
import { type Endpoint as EndpointPlan, IPVLAN_MODES, MACVLAN_MODES } from '../plan/network-endpoint.ts'
import {
  addBridge,
  type BridgeRules,
  type PublishedPort,
  publish,
  removeBridge,
  removeRules,
  unpublish,
} from '../plan/network-rules.ts'
import { type Connection, type Endpoint, networksOf } from './connection.ts'
import { devicesApart, withoutForwarding } from './forwarding.ts'
import { isIn } from './network-take.ts'
import type { Engine } from './place.ts'
import type { PortWish } from './record.ts'

export { IPVLAN_MODES, MACVLAN_MODES }

export const bytesOf = (address: string): Uint8Array => parseAddress(address) ?? new Uint8Array(4)

export function endpointPlan(engine: Engine, network: NetworkRecord, endpoint: Endpoint): EndpointPlan {
  // In the modes l3 of ipvlan this machine routes, and there is nobody to ask for a way.
  const hasGateway = !network.options.ipvlan_mode?.startsWith('l3')
  const addresses = endpoint.addresses.map(({ address, prefixLength, gateway }) => ({
    address: bytesOf(address),
    prefixLength,
    route: network.isInternal ? undefined : hasGateway ? { gateway: bytesOf(gateway) } : {},
  }))
  return {
    inside: endpoint.inside,
    link: linkOf(engine, network, endpoint),
    addresses,
    metric: Number(endpoint.inside.slice(3)),
    hardwareAddress:
      endpoint.hardwareAddress === ''
        ? undefined
        : Uint8Array.from(endpoint.hardwareAddress.split(':'), (byte) => Number.parseInt(byte, 16)),
  }
}

function linkOf(engine: Engine, network: NetworkRecord, endpoint: Endpoint): EndpointPlan['link'] {
  const { driver, device, options } = network
  if (driver === 'macvlan') {
    const mode = wordIn(MACVLAN_MODES, options.macvlan_mode) ?? 'bridge'
    return { kind: 'macvlan', parent: device, mode }
  }
  if (driver === 'ipvlan')
    return { kind: 'ipvlan', parent: device, mode: wordIn(IPVLAN_MODES, options.ipvlan_mode) ?? 'l2' }
  const bridge = {
    device,
    addresses: endpoint.addresses.map(({ gateway, prefixLength }) => ({ address: bytesOf(gateway), prefixLength })),
    isolates: !network.hasNeighbours,
    sendsLarge: paces(engine),
    mtu: mtuOf(network),
  }
  return { kind: 'bridge', bridge, outside: endpoint.outside }
}

/**
 * Whether TCP of this machine waits for a timer between two segments, so that larger ones make up for it. Where it does not (cubic, reno), they
 * are slower for whoever writes less than a segment at once: docs/speed.md.
 */
const paces = ({ machine }: Engine): boolean =>
  machine.files.readText('/proc/sys/net/ipv4/tcp_congestion_control')?.startsWith('bbr') ?? false

/** A word of a table, if it is one. */
export const wordIn = <Word extends string>(table: Readonly<Record<Word, number>>, word = ''): Word | undefined =>
  Object.keys(table).find((one): one is Word => one === word)

export function bridgeRules({ device, pools, isInternal }: NetworkRecord): BridgeRules {
  const subnets = pools.map(({ subnet }) => {
    const { network, prefixLength } = parseSubnet(subnet, 'the network')
    return { address: network, prefixLength }
  })
  return { device, subnets, isInternal }
}

/** The network, while it is there. */
export const networkAt = (engine: Engine, name: string): NetworkRecord | undefined =>
  readNetwork(networksOf(engine), name)

/** Whether this machine leads into it from outside, and out of it. */
export const isOpen = ({ driver, isInternal }: NetworkRecord): boolean => driver === 'bridge' && !isInternal

const isBridged = ({ driver }: NetworkRecord): boolean => driver === 'bridge'

/** Where ports of this machine lead: the first network that has a way out over it. */
export const portEndpoint = (engine: Engine, { endpoints }: Connection): Endpoint | undefined =>
  endpoints.find(({ network }) => {
    const found = networkAt(engine, network)
    return found !== undefined && isOpen(found)
  })

/** Where the network to which ports lead says that they are published, if nothing else was asked for. */
export function boundPorts(
  engine: Engine,
  networks: readonly Pick<Endpoint, 'network'>[],
  ports: readonly PortWish[],
): readonly PortWish[] {
  const found = networks.flatMap(({ network }) => networkAt(engine, network) ?? []).find(isOpen)
  const hostAddress = found?.options[HOST_BINDING]
  if (hostAddress === undefined) return ports
  return ports.map((port) => (port.hostAddress === undefined ? { ...port, hostAddress } : port))
}

/** One of all addresses is one of each family that the container has. */
export const publishedPorts = (ports: readonly PortWish[], endpoint: Endpoint | undefined): readonly PublishedPort[] =>
  ports.flatMap(({ hostAddress, hostPort, port, protocol }) => {
    const wanted = hostAddress === undefined ? undefined : bytesOf(hostAddress)
    const isAll = wanted?.every((byte) => byte === 0) ?? true
    return (endpoint?.addresses ?? [])
      .map(({ address }) => bytesOf(address))
      .filter(({ length }) => wanted === undefined || wanted.length === length)
      .map((address) => ({
        address: isAll ? undefined : wanted,
        port: hostPort,
        protocol,
        to: { address, port },
      }))
  })

export const rulesFor = (
  engine: Engine,
  networks: readonly NetworkRecord[],
  ports: readonly PublishedPort[],
): readonly Uint8Array[] => [
  ...networks.filter(isBridged).map((network) => addBridge(bridgeRules(network), devicesApart(engine))),
  ...(ports.length === 0 ? [] : [publish(ports)]),
]

/** A bridge answers on the loopback addresses of this machine what is published there. kernel:networking/ip-sysctl.rst */
export const loopbackSettings = (
  engine: Engine,
  endpoint: Endpoint | undefined,
  ports: readonly PublishedPort[],
): readonly Setting[] => {
  const device = endpoint === undefined ? undefined : networkAt(engine, endpoint.network)?.device
  return ports.length === 0 || device === undefined ? [] : [[`/proc/sys/net/ipv4/conf/${device}/route_localnet`, '1']]
}

export interface Leave {
  readonly leaving: readonly Endpoint[]
  /** The other endpoints of the same container. */
  readonly staying: readonly Endpoint[]
  /** Those that lead nowhere any more. */
  readonly ports: readonly PublishedPort[]
}

/** What goes with endpoints of a container. */
export interface Leaving {
  readonly rules: readonly Uint8Array[]
  readonly settings: readonly Setting[]
  /** Of all networks. */
  readonly isLast: boolean
}

/**
 * The last container of a network takes its rules along, and the last of all the table. The bridge stays as long as the network: the kernel
 * takes tens of milliseconds to remove one (docs/speed.md).
 */
export function leave(engine: Engine, id: string, { leaving, staying, ports }: Leave): Leaving {
  const bridged = (endpoints: readonly Endpoint[]): readonly NetworkRecord[] =>
    endpoints.flatMap(({ network }) => networkAt(engine, network) ?? []).filter(isBridged)
  const networks = bridged(leaving)
  const empty = networks.filter(({ name }) => !hasOthers(engine, name, id))
  const isLast =
    networks.length > 0 &&
    bridged(staying).length === 0 &&
    empty.length === networks.length &&
    !listNetworks(networksOf(engine)).some((one) => isBridged(one) && hasOthers(engine, one.name, id))
  if (isLast) return { rules: [removeRules()], settings: withoutForwarding(engine), isLast }
  const rules = [
    ...(ports.length === 0 ? [] : [unpublish(ports)]),
    ...empty.map((network) => removeBridge(bridgeRules(network))),
  ]
  return { rules, settings: [], isLast }
}

function hasOthers(engine: Engine, network: string, id: string): boolean {
  for (const other of leaseHolders(networksOf(engine), network)) {
    if (other !== id && isIn(engine, other, network)) return true
  }
  return false
}
