/**
 * The rules of the engine's networks: one table of its own, in which a network and a published port are elements of sets.
 *
 *     table inet coffer {
 *       set bridges   { ifname }                                  the bridges of networks
 *       set together  { ifname . ifname }                         between which of them packets pass: a bridge and itself
 *       set closed    { ifname }                                  bridges of internal networks
 *       set inside    { ipv4_addr, interval }                     the addresses of networks that reach others
 *       map published { ipv4_addr . proto . port : addr . port }  ports of one address of this machine
 *       map open      { proto . port : addr . port }              ports of all of them
 *     }
 *
 * Rules of others are neither read nor changed. Whoever drops forwarded packets in a table of their own drops ours too.
 *
 * Source: nft(8), kernel:networking/nf_conntrack-sysctl.rst
 */

import {
  addElements,
  type Bytes,
  batch,
  bigEndian16,
  deleteElements,
  deleteTable,
  destinationAddress,
  destinationPort,
  drop,
  type Element,
  equals,
  flushChain,
  interfaceName,
  isIn,
  isNotIn,
  keyOf,
  lookUp,
  masked,
  masquerade,
  meta,
  type NewSet,
  newChain,
  newRule,
  newSet,
  newTable,
  REGISTER,
  redirect,
  sourceAddress,
  toLocalAddress,
  wasRedirected,
} from '../linux/nftables.ts'

export const TABLE = 'coffer'

/** The packet, an address, a protocol and a port, each in registers of 4 bytes, behind each other. */
const [ADDRESS, PROTOCOL, PORT] = [REGISTER, REGISTER + 1, REGISTER + 2]
/** An interface name takes four registers. */
const SECOND_NAME = REGISTER + 4

const SETS: Readonly<Record<'bridges' | 'together' | 'closed' | 'inside' | 'published' | 'open', NewSet>> = {
  bridges: { table: TABLE, name: 'bridges', key: ['ifname'] },
  together: { table: TABLE, name: 'together', key: ['ifname', 'ifname'] },
  closed: { table: TABLE, name: 'closed', key: ['ifname'] },
  inside: { table: TABLE, name: 'inside', key: ['ipv4_addr'], isInterval: true },
  published: {
    table: TABLE,
    name: 'published',
    key: ['ipv4_addr', 'inet_proto', 'inet_service'],
    value: ['ipv4_addr', 'inet_service'],
  },
  open: { table: TABLE, name: 'open', key: ['inet_proto', 'inet_service'], value: ['ipv4_addr', 'inet_service'] },
}

type SetName = keyof typeof SETS
const NAMES = Object.keys(SETS) as readonly SetName[]
const idOf = (name: SetName): number => NAMES.indexOf(name) + 1

const within = (name: SetName, register?: number): Bytes => isIn(name, idOf(name), register)
const without = (name: SetName, register?: number): Bytes => isNotIn(name, idOf(name), register)

const IPV4 = equals(Uint8Array.of(2))
const isIpv4: readonly Bytes[] = [meta('nfproto'), IPV4]
const isLoopback: readonly Bytes[] = [
  sourceAddress(),
  masked(Uint8Array.of(255, 0, 0, 0)),
  equals(Uint8Array.of(127, 0, 0, 0)),
]

/** Where a packet goes on that was sent to a published port. Two rules, as a map has one form of key. */
const redirections = (chain: string): readonly Bytes[] => [
  newRule(TABLE, chain, [
    ...isIpv4,
    destinationAddress(ADDRESS),
    meta('l4proto', PROTOCOL),
    destinationPort(PORT),
    lookUp('published', idOf('published'), ADDRESS, ADDRESS),
    redirect(ADDRESS, ADDRESS + 1),
  ]),
  newRule(TABLE, chain, [
    ...isIpv4,
    ...toLocalAddress,
    meta('l4proto', PROTOCOL),
    destinationPort(PORT),
    lookUp('open', idOf('open'), PROTOCOL, ADDRESS),
    redirect(ADDRESS, ADDRESS + 1),
  ]),
]

const CHAINS = [
  newChain({ table: TABLE, name: 'prerouting', type: 'nat', hook: 'prerouting', priority: -100 }),
  newChain({ table: TABLE, name: 'output', type: 'nat', hook: 'output', priority: -100 }),
  newChain({ table: TABLE, name: 'postrouting', type: 'nat', hook: 'postrouting', priority: 100 }),
  newChain({ table: TABLE, name: 'forward', type: 'filter', hook: 'forward', priority: 0 }),
]

const RULES = [
  ...['prerouting', 'output'].flatMap(redirections),
  // Who comes from a network to the world has this machine's address there.
  newRule(TABLE, 'postrouting', [
    ...isIpv4,
    sourceAddress(),
    within('inside'),
    meta('oifname'),
    without('bridges'),
    masquerade,
  ]),
  // A container would answer a neighbour directly, who asked this machine; and would look for 127.0.0.1 at home.
  newRule(TABLE, 'postrouting', [
    ...wasRedirected,
    meta('iifname'),
    meta('oifname', SECOND_NAME),
    within('together'),
    masquerade,
  ]),
  newRule(TABLE, 'postrouting', [...isIpv4, ...isLoopback, meta('oifname'), within('bridges'), masquerade]),
  // Networks do not see each other, and internal ones nobody else.
  newRule(TABLE, 'forward', [
    meta('iifname'),
    within('bridges'),
    meta('oifname', SECOND_NAME),
    within('bridges', SECOND_NAME),
    without('together'),
    drop,
  ]),
  newRule(TABLE, 'forward', [
    meta('iifname'),
    within('closed'),
    meta('oifname', SECOND_NAME),
    without('together'),
    drop,
  ]),
  newRule(TABLE, 'forward', [
    meta('iifname'),
    meta('oifname', SECOND_NAME),
    within('closed', SECOND_NAME),
    without('together'),
    drop,
  ]),
]

const sets: readonly Bytes[] = [newTable(TABLE), ...NAMES.map((name) => newSet(SETS[name], idOf(name)))]

/** Table, sets, chains and rules; what is there already is there once. */
const base: readonly Bytes[] = [
  ...sets,
  ...CHAINS,
  ...['prerouting', 'output', 'postrouting', 'forward'].map((chain) => flushChain(TABLE, chain)),
  ...RULES,
]

export interface BridgeRules {
  /** The name of the bridge. */
  readonly device: string
  /** `[10, 0, 0, 0]` */
  readonly network: Uint8Array
  readonly prefixLength: number
  /** Reaches nobody outside. */
  readonly isInternal: boolean
}

/** The rules, and in them one more network. Made again it changes nothing. */
export const addBridge = (bridge: BridgeRules): Bytes =>
  batch([...base, ...bridgeElements(bridge).map(([set, list]) => addElements(TABLE, set, list))])

export const removeBridge = (bridge: BridgeRules): Bytes => takenAway(bridgeElements(bridge))

/** To take away what is not there is an error to the kernel: so it is added before, in the same batch. */
const takenAway = (elements: readonly (readonly [SetName, readonly Element[]])[]): Bytes =>
  batch([
    ...sets,
    ...elements.map(([set, list]) => addElements(TABLE, set, list)),
    ...elements.map(([set, list]) => deleteElements(TABLE, set, list)),
  ])

/** With the last container the table goes. */
export const removeRules = (): Bytes => batch([newTable(TABLE), deleteTable(TABLE)])

function bridgeElements({
  device,
  network,
  prefixLength,
  isInternal,
}: BridgeRules): readonly (readonly [SetName, readonly Element[]])[] {
  const name = interfaceName(device)
  return [
    ['bridges', [{ key: name }]],
    ['together', [{ key: keyOf(name, name) }]],
    isInternal ? ['closed', [{ key: name }]] : ['inside', interval(network, prefixLength)],
  ]
}

/** From the first address to the one behind the last. */
function interval(network: Uint8Array, prefixLength: number): readonly Element[] {
  const view = new DataView(network.buffer, network.byteOffset)
  const end = new Uint8Array(4)
  new DataView(end.buffer).setUint32(0, view.getUint32(0) + 2 ** (32 - prefixLength))
  return [{ key: network }, { key: end, isEnd: true }]
}

export interface PublishedPort {
  /** An address of this machine; undefined for all of them. */
  readonly address?: Uint8Array | undefined
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly to: { readonly address: Uint8Array; readonly port: number }
}

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const

function portElement({ address, port, protocol, to }: PublishedPort): readonly [SetName, Element] {
  const what = keyOf(Uint8Array.of(PROTOCOLS[protocol]), bigEndian16(port))
  const value = keyOf(to.address, bigEndian16(to.port))
  return address === undefined ? ['open', { key: what, value }] : ['published', { key: keyOf(address, what), value }]
}

export const publish = (ports: readonly PublishedPort[]): Bytes =>
  batch(ports.map(portElement).map(([set, element]) => addElements(TABLE, set, [element])))

export const unpublish = (ports: readonly PublishedPort[]): Bytes =>
  takenAway(ports.map(portElement).map(([set, element]) => [set, [element]]))
