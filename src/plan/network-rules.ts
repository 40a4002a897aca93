/**
 * The rules of the engine's networks: one table of its own, in which a network and a published port are elements of sets.
 *
 *     table inet coffer {
 *       set bridges    { ifname }                                  the bridges of networks
 *       set together   { ifname . ifname }                         between which of them packets pass: a bridge and itself
 *       set closed     { ifname }                                  bridges of internal networks
 *       set apart      { ifname }                                  between which nothing passed before coffer switched routing on
 *       set inside     { ipv4_addr, interval }                     the addresses of networks that reach others
 *       set inside6    { ipv6_addr, interval }
 *       map published  { ipv4_addr . proto . port : addr . port }  ports of one address of this machine
 *       map published6 { ipv6_addr . proto . port : addr . port }
 *       map open       { proto . port : addr . port }              ports of all of them
 *       map open6      { proto . port : addr . port }
 *     }
 *
 * | chain                          | does                                                                                    |
 * |--------------------------------|-----------------------------------------------------------------------------------------|
 * | guard, before all              | drops what a container sends to 127.0.0.0/8 of this machine (S232)                      |
 * | prerouting, output             | redirects what goes to a published port                                                 |
 * | postrouting                    | gives what leaves a network this machine's address                                      |
 * | forward, priority 0 (filter)   | drops what nobody asked for: from outside (S231), between networks (S235), out of internal ones (S236), and |
 * |                                | between others if it is coffer that routes (S247)                                       |
 *
 * Rules of others are neither read nor changed. What they drop in a chain of their own is dropped: a rule of an administrator, such as one of
 * the hook forward, is stronger than a published port (S233).
 *
 * Source: nft(8), kernel:networking/nf_conntrack-sysctl.rst
 */

import {
  accept,
  addElements,
  type Bytes,
  batch,
  bigEndian16,
  deleteElements,
  deleteTable,
  destinationAddress,
  destinationAddress6,
  destinationPort,
  differs,
  drop,
  type Element,
  equals,
  flushChain,
  interfaceName,
  isIn,
  isKnown,
  isNotIn,
  joined,
  keyOf,
  lookUp,
  masked,
  masquerade,
  meta,
  type NewSet,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  newChain,
  newRule,
  newSet,
  newTable,
  REGISTER,
  redirect,
  sourceAddress,
  sourceAddress6,
  toLocalAddress,
  wasRedirected,
} from '../linux/nftables.ts'
import type { Address } from './network-endpoint.ts'

export const TABLE = 'coffer'

/** An interface name takes four registers. */
const SECOND_NAME = REGISTER + 4

const PORT_OF_ONE = ['inet_proto', 'inet_service'] as const
const SETS: Readonly<Record<SetName, NewSet>> = {
  bridges: { table: TABLE, name: 'bridges', key: ['ifname'] },
  together: { table: TABLE, name: 'together', key: ['ifname', 'ifname'] },
  closed: { table: TABLE, name: 'closed', key: ['ifname'] },
  apart: { table: TABLE, name: 'apart', key: ['ifname'] },
  inside: { table: TABLE, name: 'inside', key: ['ipv4_addr'], isInterval: true },
  inside6: { table: TABLE, name: 'inside6', key: ['ipv6_addr'], isInterval: true },
  published: {
    table: TABLE,
    name: 'published',
    key: ['ipv4_addr', ...PORT_OF_ONE],
    value: ['ipv4_addr', 'inet_service'],
  },
  published6: {
    table: TABLE,
    name: 'published6',
    key: ['ipv6_addr', ...PORT_OF_ONE],
    value: ['ipv6_addr', 'inet_service'],
  },
  open: { table: TABLE, name: 'open', key: PORT_OF_ONE, value: ['ipv4_addr', 'inet_service'] },
  open6: { table: TABLE, name: 'open6', key: PORT_OF_ONE, value: ['ipv6_addr', 'inet_service'] },
}

type SetName =
  | 'bridges'
  | 'together'
  | 'closed'
  | 'apart'
  | 'inside'
  | 'inside6'
  | 'published'
  | 'published6'
  | 'open'
  | 'open6'
const NAMES = Object.keys(SETS) as readonly SetName[]
const idOf = (name: SetName): number => NAMES.indexOf(name) + 1

const within = (name: SetName, register?: number): Bytes => isIn(name, idOf(name), register)
const without = (name: SetName, register?: number): Bytes => isNotIn(name, idOf(name), register)

const isIpv4: readonly Bytes[] = [meta('nfproto'), equals(Uint8Array.of(NFPROTO_IPV4))]
const isIpv6: readonly Bytes[] = [meta('nfproto'), equals(Uint8Array.of(NFPROTO_IPV6))]

const fromBridge: readonly Bytes[] = [meta('iifname'), within('bridges')]
const toBridge: readonly Bytes[] = [meta('oifname'), within('bridges')]
const isLoopback = (address: Bytes): readonly Bytes[] => [
  ...isIpv4,
  address,
  masked(Uint8Array.of(255, 0, 0, 0)),
  equals(Uint8Array.of(127, 0, 0, 0)),
]
const LOOPBACK6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
/** With the name of the device that it came from, and behind that the one that it goes to. */
const onBothSides = (...expressions: readonly Bytes[]): readonly Bytes[] => [
  meta('iifname'),
  meta('oifname', SECOND_NAME),
  ...expressions,
]

interface Family {
  readonly isIt: readonly Bytes[]
  readonly protocol: number
  readonly destination: (register: number) => Bytes
  /** How many registers of 4 bytes an address takes. */
  readonly registers: number
  readonly published: SetName
  readonly open: SetName
}

const FAMILIES: readonly Family[] = [
  {
    isIt: isIpv4,
    protocol: NFPROTO_IPV4,
    destination: destinationAddress,
    registers: 1,
    published: 'published',
    open: 'open',
  },
  {
    isIt: isIpv6,
    protocol: NFPROTO_IPV6,
    destination: destinationAddress6,
    registers: 4,
    published: 'published6',
    open: 'open6',
  },
]

/** Where a packet goes on that was sent to a published port. Two rules a family, as a map has one form of key. */
const redirections = (chain: string): readonly Bytes[] =>
  FAMILIES.flatMap(({ isIt, protocol, destination, registers, published, open }) => {
    // The address, a protocol and a port, behind each other; and what they lead to.
    const [first, behind] = [REGISTER, REGISTER + registers]
    const to = redirect(protocol, REGISTER, behind)
    return [
      newRule(TABLE, chain, [
        ...isIt,
        destination(first),
        meta('l4proto', behind),
        destinationPort(behind + 1),
        lookUp(published, idOf(published), first, REGISTER),
        to,
      ]),
      newRule(TABLE, chain, [
        ...isIt,
        ...toLocalAddress,
        meta('l4proto', first),
        destinationPort(first + 1),
        lookUp(open, idOf(open), first, REGISTER),
        to,
      ]),
    ]
  })

const CHAINS = [
  newChain({ table: TABLE, name: 'guard', type: 'filter', hook: 'prerouting', priority: -300 }),
  newChain({ table: TABLE, name: 'prerouting', type: 'nat', hook: 'prerouting', priority: -100 }),
  newChain({ table: TABLE, name: 'output', type: 'nat', hook: 'output', priority: -100 }),
  newChain({ table: TABLE, name: 'postrouting', type: 'nat', hook: 'postrouting', priority: 100 }),
  newChain({ table: TABLE, name: 'forward', type: 'filter', hook: 'forward', priority: 0 }),
]

const forward = (...expressions: readonly Bytes[]): Bytes => newRule(TABLE, 'forward', expressions)
const postrouting = (...expressions: readonly Bytes[]): Bytes => newRule(TABLE, 'postrouting', expressions)

const RULES = [
  // The bridges route what comes to 127.0.0.0/8 for the answers of this machine: who asks so is a container.
  newRule(TABLE, 'guard', [...isLoopback(destinationAddress()), ...fromBridge, drop]),
  // A neighbour of this machine does not reach what is published on its loopback: redirected here it would not be seen to come from outside.
  newRule(TABLE, 'prerouting', [
    meta('iifname'),
    differs(interfaceName('lo')),
    ...isLoopback(destinationAddress()),
    accept,
  ]),
  // The kernel takes no answer to ::1 from a bridge. Refused there, programs that know this machine by name try 127.0.0.1 next.
  newRule(TABLE, 'output', [...isIpv6, destinationAddress6(), equals(LOOPBACK6), accept]),
  ...['prerouting', 'output'].flatMap(redirections),
  // Who comes from a network to the world has this machine's address there.
  postrouting(...isIpv4, sourceAddress(), within('inside'), meta('oifname'), without('bridges'), masquerade),
  postrouting(...isIpv6, sourceAddress6(), within('inside6'), meta('oifname'), without('bridges'), masquerade),
  // A container would answer a neighbour directly, who asked this machine; and would look for 127.0.0.1 at home.
  postrouting(...wasRedirected, ...isIpv4, sourceAddress(), within('inside'), ...toBridge, masquerade),
  postrouting(...wasRedirected, ...isIpv6, sourceAddress6(), within('inside6'), ...toBridge, masquerade),
  postrouting(...isLoopback(sourceAddress()), ...toBridge, masquerade),
  // First what most packets are.
  forward(...isKnown, accept),
  forward(...onBothSides(within('together'), accept)),
  forward(meta('iifname'), within('closed'), drop),
  forward(meta('oifname'), within('closed'), drop),
  forward(...wasRedirected, accept),
  forward(...toBridge, drop),
  forward(...fromBridge, accept),
  forward(...onBothSides(within('apart'), within('apart', SECOND_NAME), drop)),
]

const sets: readonly Bytes[] = [newTable(TABLE), ...NAMES.map((name) => newSet(SETS[name], idOf(name)))]

/** Table, sets, chains and rules; what is there already is there once. */
const base: Bytes = joined([
  ...sets,
  ...CHAINS,
  ...['guard', 'prerouting', 'output', 'postrouting', 'forward'].map((chain) => flushChain(TABLE, chain)),
  ...RULES,
])

export interface BridgeRules {
  /** The name of the bridge. */
  readonly device: string
  readonly subnets: readonly Address[]
  /** Reaches nobody outside. */
  readonly isInternal: boolean
}

/** The rules, and in them one more network, and devices between which this machine did not route. Made again it changes nothing. */
export const addBridge = (bridge: BridgeRules, apart: readonly string[]): Bytes =>
  batch([
    base,
    ...bridgeElements(bridge).map(([set, list]) => addElements(TABLE, set, list)),
    ...(apart.length === 0
      ? []
      : [
          addElements(
            TABLE,
            'apart',
            apart.map((device) => ({ key: interfaceName(device) })),
          ),
        ]),
  ])

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
  subnets,
  isInternal,
}: BridgeRules): readonly (readonly [SetName, readonly Element[]])[] {
  const name = interfaceName(device)
  return [
    ['bridges', [{ key: name }]],
    ['together', [{ key: keyOf(name, name) }]],
    ...(isInternal
      ? [['closed', [{ key: name }]] as const]
      : subnets.map((one) => [one.address.length === 4 ? 'inside' : 'inside6', interval(one)] as const)),
  ]
}

/** From the first address to the one behind the last. */
function interval({ address, prefixLength }: Address): readonly Element[] {
  const end = address.slice()
  let carry = 1 << ((8 - (prefixLength % 8)) % 8)
  for (let at = Math.ceil(prefixLength / 8) - 1; at >= 0 && carry > 0; at--) {
    const sum = (end[at] ?? 0) + carry
    end[at] = sum & 0xff
    carry = sum >> 8
  }
  return [{ key: address }, { key: end, isEnd: true }]
}

export interface PublishedPort {
  /** An address of this machine; undefined for all of them of the family of `to`. */
  readonly address?: Uint8Array | undefined
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly to: { readonly address: Uint8Array; readonly port: number }
}

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const

function portElement({ address, port, protocol, to }: PublishedPort): readonly [SetName, Element] {
  const what = keyOf(Uint8Array.of(PROTOCOLS[protocol]), bigEndian16(port))
  const value = keyOf(to.address, bigEndian16(to.port))
  const isSix = to.address.length === 16
  return address === undefined
    ? [isSix ? 'open6' : 'open', { key: what, value }]
    : [isSix ? 'published6' : 'published', { key: keyOf(address, what), value }]
}

export const publish = (ports: readonly PublishedPort[]): Bytes =>
  batch(ports.map(portElement).map(([set, element]) => addElements(TABLE, set, [element])))

export const unpublish = (ports: readonly PublishedPort[]): Bytes =>
  takenAway(ports.map(portElement).map(([set, element]) => [set, [element]]))
