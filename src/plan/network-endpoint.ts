/**
 * One way out of a network namespace: a device in it with its addresses, and where that leads.
 *
 *     bridge     a pair of devices, the outer one of which is a port of a bridge of this machine. veth(4)
 *     macvlan    a second hardware address of a device of this machine
 *     ipvlan     a second address of it
 */

import { addressText } from '../linux/address-text.ts'
import { slot } from '../linux/call.ts'
import { IFF_UP } from '../linux/interfaces.ts'
import {
  type Attribute,
  addressBody,
  IFA_ADDRESS,
  IFA_F_NODAD,
  IFA_FLAGS,
  IFA_LOCAL,
  IFLA_ADDRESS,
  IFLA_BRPORT_ISOLATED,
  IFLA_BRPORT_MODE,
  IFLA_GSO_IPV4_MAX_SIZE,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_IPVLAN_MODE,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_MACVLAN_MODE,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  linkBody,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  numberAttribute,
  RTA_GATEWAY,
  RTA_OIF,
  RTA_PRIORITY,
  RTM_DELLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  routeBody,
  textAttribute,
  VETH_INFO_PEER,
} from '../linux/netlink.ts'
import { AF_INET, AF_INET6 } from '../linux/sockets.ts'
import { HOSTS, INDEX, INSIDE, NAMESPACE, ROUTE } from './network-slots.ts'
import type { Step } from './plan.ts'
import { ask, find, tell } from './rtnetlink.ts'

export interface Address {
  /** 4 bytes, or 16. */
  readonly address: Uint8Array
  readonly prefixLength: number
}

export interface Bridge {
  readonly device: string
  /** Of this machine in the network; what containers have as gateway. */
  readonly addresses: readonly Address[]
  /** Its ports do not reach each other. */
  readonly isolates: boolean
  /** What this machine sends to a container is cut into larger segments than elsewhere. */
  readonly sendsLarge: boolean
  /** In bytes: of both ends of each pair, and so of the bridge. */
  readonly mtu?: number | undefined
}

export type Link =
  | { readonly kind: 'bridge'; readonly bridge: Bridge; readonly outside: string }
  | { readonly kind: 'macvlan'; readonly parent: string; readonly mode: keyof typeof MACVLAN_MODES }
  | { readonly kind: 'ipvlan'; readonly parent: string; readonly mode: keyof typeof IPVLAN_MODES }

/** include/uapi/linux/if_link.h: enum macvlan_mode, IPVLAN_MODE_… */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const

export interface Endpoint {
  /** The name of the device in the container. */
  readonly inside: string
  readonly link: Link
  readonly addresses: readonly (Address & {
    /** What leads to everywhere else; nobody if undefined. */
    readonly route?: Route | undefined
  })[]
  /** Of several ways to everywhere the one with the lowest metric is taken. */
  readonly metric: number
  /** Six bytes. */
  readonly hardwareAddress?: Uint8Array | undefined
}

export interface Route {
  /** Without one all is on the link. */
  readonly gateway?: Uint8Array | undefined
}

const PARENT = slot('parent')

/** With INSIDE and ROUTE open, and HOSTS and NAMESPACE, which is that of the file. */
export const planEndpoint = (endpoint: Endpoint, file: string): readonly Step[] => [
  ...planLink(endpoint, file),
  ...find(INSIDE, endpoint.inside, `find ${endpoint.inside}`, INDEX),
  ...endpoint.addresses.flatMap((one) => planAddress({ side: 'inside', file }, endpoint.inside, one)),
  ...switchOn({ side: 'inside', file }, endpoint.inside),
  ...endpoint.addresses.flatMap((one) => (one.route === undefined ? [] : planRoute(one, one.route, endpoint, file))),
  ...(endpoint.link.kind === 'bridge' ? planPort(endpoint.link) : []),
]

/** For devices that are there, or not. */
export const planDetach = ({ link, inside }: Endpoint): readonly Step[] =>
  link.kind === 'bridge' ? planDeviceRemoval(link.outside) : removeDevice(INSIDE, inside)

export const planDeviceRemoval = (device: string): readonly Step[] => removeDevice(ROUTE, device)

function removeDevice(side: typeof ROUTE, device: string): readonly Step[] {
  const why = `remove the device ${device}`
  const [send, found] = find(side, device, why, INDEX)
  return [
    send,
    {
      ...found,
      tolerate: ['ENODEV'],
      then: ask(side, { type: RTM_DELLINK, body: linkBody(INDEX), attributes: [] }, why),
    },
  ]
}

/** Each device is made in the namespace that it belongs to: moving one takes milliseconds. */
function planLink(endpoint: Endpoint, file: string): readonly Step[] {
  const { link, inside, hardwareAddress } = endpoint
  const named = hardwareAddress === undefined ? inside : `${inside} address ${hardwareText(hardwareAddress)}`
  const own: readonly Attribute[] = [
    textAttribute(IFLA_IFNAME, inside),
    ...(hardwareAddress === undefined ? [] : [{ type: IFLA_ADDRESS, value: hardwareAddress }]),
  ]
  if (link.kind === 'bridge') {
    const { outside, bridge } = link
    const mtu = bridge.mtu === undefined ? [] : [numberAttribute(IFLA_MTU, bridge.mtu)]
    const peer = {
      head: linkBody(0).bytes,
      nested: [
        textAttribute(IFLA_IFNAME, outside),
        segmentsOf(LARGEST),
        ...mtu,
        { type: IFLA_NET_NS_FD, value: HOSTS },
      ],
    }
    const pair = infoOf('veth', [{ type: VETH_INFO_PEER, value: peer }])
    const why = `lead from ${inside} of the container to ${outside} of this machine`
    const size = bridge.mtu === undefined ? '' : ` mtu ${bridge.mtu}`
    const typed = `ip link add ${outside}${size} type veth peer name ${named}${size} netns ${quoted(file)}`
    return [...planBridge(bridge), ...newLink('inside', [...own, ...mtu, pair], why, typed)]
  }
  const mode =
    link.kind === 'macvlan'
      ? numberAttribute(IFLA_MACVLAN_MODE, MACVLAN_MODES[link.mode])
      : { type: IFLA_IPVLAN_MODE, value: Uint8Array.of(IPVLAN_MODES[link.mode], 0) }
  const attributes: readonly Attribute[] = [
    ...own,
    { type: IFLA_LINK, value: PARENT },
    { type: IFLA_NET_NS_FD, value: NAMESPACE },
    infoOf(link.kind, [mode]),
  ]
  return [
    ...find(ROUTE, link.parent, `find ${link.parent}`, PARENT),
    ...newLink(
      'outside',
      attributes,
      `have ${inside} of the container on ${link.parent}`,
      `ip link add link ${link.parent} name ${named} netns ${quoted(file)} type ${link.kind} mode ${link.mode}`,
    ),
  ]
}

const infoOf = (kind: string, settings: readonly Attribute[]): Attribute => ({
  type: IFLA_LINKINFO,
  value: {
    nested: [
      textAttribute(IFLA_INFO_KIND, kind),
      ...(settings.length === 0 ? [] : [{ type: IFLA_INFO_DATA, value: { nested: settings } }]),
    ],
  },
})

type Side = 'inside' | 'outside'
const socketOf = (side: Side): typeof ROUTE => (side === 'inside' ? INSIDE : ROUTE)

/** Where a device is, and the file of the namespace of the container. */
type At = { readonly side: 'outside' } | { readonly side: 'inside'; readonly file: string }

const OUTSIDE: At = { side: 'outside' }

/** ip(8) there. */
const ipAt = (at: At): string => (at.side === 'outside' ? 'ip' : `nsenter --net=${quoted(at.file)} ip`)

const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`

const hardwareText = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')

const newLink = (side: Side, attributes: readonly Attribute[], why: string, typed: string): readonly Step[] =>
  ask(socketOf(side), { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body: linkBody(0), attributes }, why, {
    typed,
  })

/** Each start makes the bridge: it is the same if it is there. */
const planBridge = ({ device, addresses }: Bridge): readonly Step[] => [
  ...ask(
    ROUTE,
    {
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE,
      body: linkBody(0),
      attributes: [textAttribute(IFLA_IFNAME, device), infoOf('bridge', [])],
    },
    `have the bridge ${device}`,
    { see: ['rtnetlink(7)', 'bridge(8)'], typed: `ip link show ${device} || ip link add ${device} type bridge` },
  ),
  ...find(ROUTE, device, `find the bridge ${device}`, INDEX),
  ...addresses.flatMap((one) => planAddress(OUTSIDE, device, one)),
  ...switchOn(OUTSIDE, device),
]

/**
 * What a program of this machine sends over TCP to a container is cut into segments of up to this many bytes (BIG TCP), not 64 KiB: it never
 * gets to a wire, and one of 500 KB costs hardly more than one of 64. Only the way in has it. What a container sends may leave by a card of this
 * machine, and what is larger than a card takes, the kernel cuts to its MTU. Before 6.3 the attribute is not read.
 *
 * Source: include/linux/netdevice.h GSO_MAX_SIZE, net/core/dev.c gso_features_check
 */
const LARGEST = 8 * 65_535
const USUAL = 65_536
const segmentsOf = (bytes: number): Attribute => numberAttribute(IFLA_GSO_IPV4_MAX_SIZE, bytes)

/**
 * The outer end becomes a port of the bridge, to which packets may go back that came from it: where bridges pass the packet filter (br_netfilter),
 * one that a container sends to a port that it publishes itself is redirected within the bridge.
 */
function planPort({ bridge, outside }: Extract<Link, { readonly kind: 'bridge' }>): readonly Step[] {
  const settings: readonly Attribute[] = [
    { type: IFLA_BRPORT_MODE, value: Uint8Array.of(1) },
    ...(bridge.isolates ? [{ type: IFLA_BRPORT_ISOLATED, value: Uint8Array.of(1) }] : []),
  ]
  const port = {
    nested: [
      textAttribute(IFLA_INFO_SLAVE_KIND, 'bridge'),
      { type: IFLA_INFO_SLAVE_DATA, value: { nested: settings } },
    ],
  }
  const name = textAttribute(IFLA_IFNAME, outside)
  const why = `connect ${outside} to the bridge`
  const change = (attribute: Attribute, typed: string): readonly Step[] =>
    ask(ROUTE, { type: RTM_NEWLINK, body: linkBody(0, IFF_UP, IFF_UP), attributes: [name, attribute] }, why, { typed })
  return [
    ...find(ROUTE, bridge.device, why, INDEX),
    ...change({ type: IFLA_MASTER, value: INDEX }, `ip link set ${outside} master ${bridge.device} up`),
    ...change(
      { type: IFLA_LINKINFO, value: port },
      `bridge link set dev ${outside} hairpin on${bridge.isolates ? ' isolated on' : ''}`,
    ),
    ...planSegments(bridge, outside),
  ]
}

/**
 * The bridge decides how large they are, and is told anew by each container, as it may have been made while this machine had another congestion
 * control. What is larger than a port takes the processor cuts to packets, at a sixth of the speed: so each port takes the largest.
 * A bridge takes what all of its ports take, and refuses more (br_set_gso_limits): one of others may be among them.
 */
function planSegments({ device, sendsLarge }: Bridge, outside: string): readonly Step[] {
  const bytes = sendsLarge ? LARGEST : USUAL
  const why = sendsLarge ? 'send large segments' : 'send segments of the usual size'
  const set = (way: string, size: number): string => `ip link set ${way} gso_ipv4_max_size ${size} 2>/dev/null || :`
  return tell(ROUTE, { type: RTM_NEWLINK, body: linkBody(INDEX), attributes: [segmentsOf(bytes)] }, why, {
    typed: `${set(outside, LARGEST)}; ${set(device, bytes)}`,
  })
}

const familyOf = ({ length }: Uint8Array): number => (length === 4 ? AF_INET : AF_INET6)

/** At once: nobody else has it, so that there is nothing to detect. */
function planAddress(at: At, device: string, { address, prefixLength }: Address): readonly Step[] {
  const text = `${addressText(address)}/${prefixLength}`
  return ask(
    socketOf(at.side),
    {
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_REPLACE,
      body: addressBody({ family: familyOf(address), prefixLength, scope: 0, index: INDEX }),
      attributes: [
        { type: IFA_LOCAL, value: address },
        { type: IFA_ADDRESS, value: address },
        numberAttribute(IFA_FLAGS, IFA_F_NODAD),
      ],
    },
    `give ${device} the address ${text}`,
    { typed: `${ipAt(at)} address replace ${text} dev ${device}${address.length === 4 ? '' : ' nodad'}` },
  )
}

const switchOn = (at: At, device: string): readonly Step[] =>
  ask(
    socketOf(at.side),
    { type: RTM_NEWLINK, body: linkBody(INDEX, IFF_UP, IFF_UP), attributes: [] },
    `switch ${device} on`,
    { typed: `${ipAt(at)} link set ${device} up` },
  )

/** The metric of the kernel for routes of IPv6 that have none. include/uapi/linux/ipv6_route.h, IP6_RT_PRIO_USER */
const IPV6_METRIC = 1024

function planRoute(
  { address }: Address,
  { gateway }: Route,
  { inside, metric }: Endpoint,
  file: string,
): readonly Step[] {
  const ip = `${ipAt({ side: 'inside', file })}${address.length === 4 ? '' : ' -6'}`
  const via = gateway === undefined ? '' : `via ${addressText(gateway)} `
  const number = address.length === 4 ? metric : IPV6_METRIC + metric
  return ask(
    INSIDE,
    {
      type: RTM_NEWROUTE,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: routeBody(familyOf(address), 0),
      attributes: [
        ...(gateway === undefined ? [] : [{ type: RTA_GATEWAY, value: gateway }]),
        { type: RTA_OIF, value: INDEX },
        numberAttribute(RTA_PRIORITY, number),
      ],
    },
    `reach everything else ${via === '' ? 'over it' : via.trim()}`,
    { typed: `${ip} route add default ${via}dev ${inside} metric ${number}` },
  )
}
