/**
 * The network of a container: a network namespace with a name, from which a pair of devices leads to a bridge of this machine.
 *
 *     executor   in the network namespace of this machine
 *       ├ maker  the process of the new namespace: its devices, addresses and routes, and the file that keeps it
 *       └        the bridge, the outer end of the pair, and the rules of the packet filter
 *
 * The container joins the namespace by its file, so no address is in the container's own plan. The namespace is there before the container,
 * and stays while it restarts. Whoever is killed in between leaves a file that `planNetworkRemoval` takes away.
 *
 * Source: rtnetlink(7), network_namespaces(7), veth(4)
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { AT_FDCWD, close, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, openat, unlinkat, write } from '../linux/files.ts'
import { IFF_UP } from '../linux/interfaces.ts'
import { bindMount, MNT_DETACH, umount2 } from '../linux/mount.ts'
import { CLONE_NEWNET, clone3 } from '../linux/namespaces.ts'
import {
  AF_NETLINK,
  addressBody,
  IFA_ADDRESS,
  IFA_LOCAL,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_NET_NS_FD,
  linkBody,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RTA_GATEWAY,
  RTM_DELLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  receive,
  routeBody,
  SOCK_RAW,
  textAttribute,
  VETH_INFO_PEER,
} from '../linux/netlink.ts'
import { NETLINK_NETFILTER } from '../linux/nftables.ts'
import { P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import { AF_INET, sendto, socket } from '../linux/sockets.ts'
import { planLoopback } from './network-lo.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { ask, find, heed, openRoute } from './rtnetlink.ts'

export interface Bridge {
  readonly device: string
  /** Of this machine in the network; what containers have as gateway. */
  readonly address: Uint8Array
  readonly prefixLength: number
  /** Nothing is routed out of it. */
  readonly isInternal: boolean
}

export interface Endpoint {
  /** The names of the pair: on this machine, and in the container. */
  readonly outside: string
  readonly inside: string
  readonly address: Uint8Array
  /** Six bytes. */
  readonly hardwareAddress: Uint8Array
}

export interface NetworkRequest {
  /** What errors call the container. */
  readonly name: string
  /** The file that keeps the namespace; absolute, in a directory that is there. */
  readonly file: string
  /** Without one the namespace has `lo` alone. */
  readonly attachment?: { readonly bridge: Bridge; readonly endpoint: Endpoint } | undefined
  /** Batches for the packet filter: network-rules.ts. */
  readonly rules: readonly Uint8Array[]
  /** Files of /proc/sys and what goes into them. */
  readonly settings: readonly (readonly [path: string, value: string])[]
}

const SEE: readonly Ref[] = ['rtnetlink(7)', 'network_namespaces(7)']
const HOSTS = slot('host-network')
const ROUTE = slot('route')
const INDEX = slot('device')
const FILTER = slot('packet-filter')
const PIDFD = slot('maker-pidfd')

export function planNetwork({ name, file, attachment, rules, settings }: NetworkRequest): Plan {
  return {
    operation: `make the network of ${name}`,
    steps: [
      ...keepNamespace(file),
      ...(attachment === undefined ? [] : [openHosts]),
      ...inNewNamespace(
        name,
        [
          ...planLoopback,
          ...(attachment === undefined ? [] : planInside(attachment)),
          {
            call: bindMount('/proc/self/ns/net', file, { recursive: false }),
            why: `keep the network namespace of ${name}`,
            see: ['namespaces(7)'],
          },
        ],
        file,
      ),
      ...(attachment === undefined ? [] : planOutside(attachment)),
      ...settings.flatMap(setting),
      ...rules.flatMap(filter),
    ],
  }
}

/** The file comes first, as the name of the namespace: nobody else makes one for the same container. */
function keepNamespace(file: string): readonly Step[] {
  const made = slot('namespace-file')
  const why = 'have a file for the network namespace'
  return [
    {
      call: openat(AT_FDCWD, file, O_RDONLY | O_CREAT | O_EXCL, 0),
      why,
      see: ['namespaces(7)'],
      into: made,
      undo: [{ call: unlinkat(AT_FDCWD, file), why: 'take the file away', see: ['unlink(2)'] }],
    },
    { call: close(made), why, see: ['close(2)'] },
  ]
}

const openHosts: Step = {
  call: openat(AT_FDCWD, '/proc/self/ns/net', O_RDONLY),
  why: 'know the network namespace of this machine',
  see: SEE,
  into: HOSTS,
}

function inNewNamespace(name: string, child: readonly Step[], file: string): readonly Step[] {
  const [pidfd, exit] = [buffer('maker-pidfd', 4), buffer('maker-exit', SIGINFO_BYTES)]
  return [
    {
      call: clone3({ flags: CLONE_NEWNET, pidfd }),
      why: `make the network namespace of ${name}`,
      see: ['clone(2)', 'network_namespaces(7)'],
      keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child,
    },
    {
      call: waitid(P_PIDFD, PIDFD, exit),
      why: `have the network namespace of ${name} made up`,
      see: ['waitid(2)'],
      check: { in: exit, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
      undo: [{ call: umount2(file, MNT_DETACH), why: 'let go of the network namespace', see: ['umount(2)'] }],
    },
  ]
}

/** The inner end is made where it belongs, and the outer one where that belongs: moving a device takes milliseconds. */
function planInside({ bridge, endpoint }: NonNullable<NetworkRequest['attachment']>): readonly Step[] {
  const { inside, outside, address, hardwareAddress } = endpoint
  const why = `lead from ${inside} of the container to ${outside} of this machine`
  const peer = {
    head: linkBody(0).bytes,
    nested: [textAttribute(IFLA_IFNAME, outside), { type: IFLA_NET_NS_FD, value: HOSTS }],
  }
  const kind = {
    nested: [
      textAttribute(IFLA_INFO_KIND, 'veth'),
      { type: IFLA_INFO_DATA, value: { nested: [{ type: VETH_INFO_PEER, value: peer }] } },
    ],
  }
  return [
    openRoute(ROUTE),
    ...ask(
      ROUTE,
      {
        type: RTM_NEWLINK,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        body: linkBody(0),
        attributes: [
          textAttribute(IFLA_IFNAME, inside),
          { type: IFLA_ADDRESS, value: hardwareAddress },
          { type: IFLA_LINKINFO, value: kind },
        ],
      },
      why,
    ),
    ...find(ROUTE, inside, `find ${inside}`, INDEX),
    ...addAddress(inside, address, bridge.prefixLength),
    ...switchOn(inside),
    ...(bridge.isInternal
      ? []
      : ask(
          ROUTE,
          {
            type: RTM_NEWROUTE,
            flags: NLM_F_CREATE | NLM_F_EXCL,
            body: routeBody(AF_INET, 0),
            attributes: [{ type: RTA_GATEWAY, value: bridge.address }],
          },
          'reach everything else over this machine',
        )),
  ]
}

/** Each start makes the bridge: it is the same if it is there. */
function planOutside({ bridge, endpoint }: NonNullable<NetworkRequest['attachment']>): readonly Step[] {
  const { device, address, prefixLength } = bridge
  const kind = { nested: [textAttribute(IFLA_INFO_KIND, 'bridge')] }
  return [
    openRoute(ROUTE),
    ...ask(
      ROUTE,
      {
        type: RTM_NEWLINK,
        flags: NLM_F_CREATE,
        body: linkBody(0),
        attributes: [textAttribute(IFLA_IFNAME, device), { type: IFLA_LINKINFO, value: kind }],
      },
      `have the bridge ${device}`,
      ['rtnetlink(7)', 'bridge(8)'],
    ),
    ...find(ROUTE, device, `find the bridge ${device}`, INDEX),
    ...addAddress(device, address, prefixLength),
    ...switchOn(device),
    ...ask(
      ROUTE,
      {
        type: RTM_NEWLINK,
        body: linkBody(0, IFF_UP, IFF_UP),
        attributes: [textAttribute(IFLA_IFNAME, endpoint.outside), { type: IFLA_MASTER, value: INDEX }],
      },
      `connect ${endpoint.outside} to the bridge`,
    ),
  ]
}

const addAddress = (device: string, address: Uint8Array, prefixLength: number): readonly Step[] =>
  ask(
    ROUTE,
    {
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_REPLACE,
      body: addressBody({ family: AF_INET, prefixLength, scope: 0, index: INDEX }),
      attributes: [
        { type: IFA_LOCAL, value: address },
        { type: IFA_ADDRESS, value: address },
      ],
    },
    `give ${device} its address`,
  )

const switchOn = (device: string): readonly Step[] =>
  ask(ROUTE, { type: RTM_NEWLINK, body: linkBody(INDEX, IFF_UP, IFF_UP), attributes: [] }, `switch ${device} on`)

function setting([path, value]: readonly [string, string]): readonly Step[] {
  const file: Slot = slot('setting')
  const why = `set ${path} to ${value}`
  return [
    { call: openat(AT_FDCWD, path, O_WRONLY), why, see: ['kernel:networking/ip-sysctl.rst'], into: file },
    { call: write(file, value, value.length), why, see: ['kernel:networking/ip-sysctl.rst'] },
    { call: close(file), why, see: ['close(2)'] },
  ]
}

/** A batch is answered once, at its end. */
function filter(batch: Uint8Array): readonly Step[] {
  const answer = buffer('filter-answer', 64)
  const why = 'have the packet filter let it pass'
  const see: readonly Ref[] = ['nft(8)', 'netlink(7)']
  return [
    { call: socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), why, see, into: FILTER },
    { call: sendto(FILTER, batch, batch.length), why, see },
    { call: receive(FILTER, answer), why, see },
    ...heed(answer, why, see),
    { call: close(FILTER), why, see: ['close(2)'] },
  ]
}

export interface NetworkRemoval {
  readonly name: string
  readonly file: string
  /** The last container of the network takes the bridge along. */
  readonly bridge?: string | undefined
  readonly rules: readonly Uint8Array[]
}

/** Whatever of it is there: with the namespace its devices go, and with the inner end the outer one. */
export function planNetworkRemoval({ name, file, bridge, rules }: NetworkRemoval): Plan {
  const why = `let go of the network namespace of ${name}`
  return {
    operation: `remove the network of ${name}`,
    steps: [
      { call: umount2(file, MNT_DETACH), why, see: ['umount(2)'], tolerate: ['EINVAL', 'ENOENT'] },
      { call: unlinkat(AT_FDCWD, file), why, see: ['unlink(2)'], tolerate: ['ENOENT'] },
      ...(bridge === undefined ? [] : removeDevice(bridge)),
      ...rules.flatMap(filter),
    ],
  }
}

function removeDevice(device: string): readonly Step[] {
  const why = `remove the bridge ${device}`
  const [send, found] = find(ROUTE, device, why, INDEX)
  return [
    openRoute(ROUTE),
    send,
    {
      ...found,
      tolerate: ['ENODEV'],
      then: ask(ROUTE, { type: RTM_DELLINK, body: linkBody(INDEX), attributes: [] }, why),
    },
  ]
}
