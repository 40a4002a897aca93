/**
 * Network devices of the host that move into the container, under the name that it knows them by, with their addresses, and up.
 *
 * A process does it for each: it opens a socket of rtnetlink in the namespace of the host, enters that of the container, and opens another one
 * there. If the container comes to nothing the device comes back the same way; if it ends, the kernel gives devices of hardware back to the host,
 * and those that are only software are gone. Source: oci:runtime-spec/config-linux.md#network-devices, rtnetlink(7)
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Slot, slot, text } from '../linux/call.ts'
import { O_RDONLY, openat } from '../linux/files.ts'
import { IFF_UP } from '../linux/interfaces.ts'
import { CLONE_NEWNET, clone3, setns } from '../linux/namespaces.ts'
import {
  ANSWER_TYPE,
  type Attribute,
  addressBody,
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_FLAGS,
  IFA_LOCAL,
  IFA_RT_PRIORITY,
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  linkBody,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLMSG_ERROR,
  numberAttribute,
  RTM_NEWADDR,
  RTM_NEWLINK,
  textAttribute,
} from '../linux/netlink.ts'
import type { LinkAddress } from '../linux/netlink-read.ts'
import { P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { ANSWER, ask, find, openRoute } from './rtnetlink.ts'
import { HOST_PROC, INIT_PID } from './slots.ts'
import { hear, tell } from './turns.ts'

export interface MovedDevice {
  /** On the host. */
  readonly device: string
  /** In the container. */
  readonly name: string
  readonly addresses: readonly LinkAddress[]
}

const IFA_F_PERMANENT = 0x80
/** What whoever adds an address may ask for: NODAD, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE, MCAUTOJOIN. */
const IFA_F_ASKED = 0x02 | 0x10 | 0x100 | 0x200 | 0x400

/** Others belong to one link, or to the host, or were given for a while by somebody who does not know of the container. */
export const lasts = ({ scope, flags }: Pick<LinkAddress, 'scope' | 'flags'>): boolean =>
  scope === 0 && (flags & IFA_F_PERMANENT) !== 0

const SEE: readonly Ref[] = ['rtnetlink(7)', 'oci:runtime-spec/config-linux.md#network-devices']
const HOSTS = slot('host-network')
const CONTAINERS = slot('container-network')
/** Sockets stay in the namespace that they were opened in. */
const ON_HOST = slot('host-rtnetlink')
const IN_CONTAINER = slot('container-rtnetlink')
const INDEX = slot('device-index')

/** For init: nothing that concerns its devices may happen before they are there. */
export const awaitDevices: Step = hear('child', 'd', 'have its network devices')

export interface NetDevicesRequest {
  readonly devices: readonly MovedDevice[]
  /** The network namespace that the container joins is the one of the host. */
  readonly joinsHosts: boolean
  readonly host: Pick<Host, 'isRootless' | 'canMapIds'>
}

/**
 * For the executor, once init is in its namespaces; init waits. Throws `invalid` if the container is where the devices are, and `denied` for a
 * caller who has no say over them.
 */
export function planNetDevices({ devices, joinsHosts, host }: NetDevicesRequest): readonly Step[] {
  if (devices.length === 0) return []
  const operation = 'move network devices into the container'
  if (joinsHosts)
    throw new OperationError({
      kind: 'invalid',
      operation,
      reason: 'linux.netDevices needs a network namespace of its own, and linux.namespaces joins the one of the host',
      hint: 'take the path out of the network namespace, or take linux.netDevices out',
      see: SEE,
    })
  // Who is root of the user namespace that coffer is in may own its network namespace as well; the kernel knows.
  if (host.isRootless && !host.canMapIds)
    throw new OperationError({
      kind: 'denied',
      operation,
      reason: 'linux.netDevices needs CAP_NET_ADMIN over the network devices of the host',
      hint: 'run as root, or take linux.netDevices out',
      see: SEE,
    })
  const why = 'know the network namespaces of host and container'
  return [
    { call: openat(HOST_PROC, 'self/ns/net', O_RDONLY), why, see: SEE, into: HOSTS },
    { call: openat(HOST_PROC, text(INIT_PID, '/ns/net'), O_RDONLY), why, see: SEE, into: CONTAINERS },
    ...devices.flatMap(planDevice),
    tell('executor', 'd', 'tell init that its network devices are there'),
  ]
}

const PIDFD = slot('mover-pidfd')
const PIDFD_BYTES = buffer('mover-pidfd', 4)
const EXIT = buffer('mover-exit', SIGINFO_BYTES)

function planDevice(device: MovedDevice): readonly Step[] {
  const why = `move the network device ${device.device} into the container`
  const back = `give the network device ${device.device} back to the host`
  const reap: Step = { call: waitid(P_PIDFD, PIDFD, EXIT), why, see: ['waitid(2)'] }
  return [
    inProcess([...openSockets, ...moveIn(device)], why),
    {
      ...reap,
      check: { in: EXIT, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
      undo: [inProcess([...openSockets, ...moveBack(device)], back), { ...reap, why: back }],
    },
  ]
}

const inProcess = (child: readonly Step[], why: string): Step => ({
  call: clone3({ flags: 0, pidfd: PIDFD_BYTES }),
  why,
  see: ['clone(2)', ...SEE],
  keep: [{ slot: PIDFD, in: PIDFD_BYTES, offset: 0, sizeBytes: 4 }],
  child,
})

const openSockets: readonly Step[] = [
  openRoute(ON_HOST),
  { call: setns(CONTAINERS, CLONE_NEWNET), why: 'enter the network namespace of the container', see: ['setns(2)'] },
  openRoute(IN_CONTAINER),
]

function moveIn(device: MovedDevice): readonly Step[] {
  const moved = move({ from: ON_HOST, name: device.device, to: CONTAINERS, as: device.name })
  const undo = moveBack(device)
  return [
    ...refuseTaken(device.name),
    // If one of the steps behind the move fails, the process itself takes it back.
    ...moved.map((step, index) => (index === moved.length - 1 ? { ...step, undo } : step)),
    ...restore(IN_CONTAINER, device.name, device.addresses),
  ]
}

const moveBack = ({ device, name, addresses }: MovedDevice): readonly Step[] => [
  ...move({ from: IN_CONTAINER, name, to: HOSTS, as: device }),
  ...restore(ON_HOST, device, addresses),
]

/** The kernel would find out only when the device is there, and leave it there with its old name: net/core/rtnetlink.c, do_setlink. */
function refuseTaken(name: string): readonly Step[] {
  const why = `be sure that the container has no network device ${name} yet`
  const [send, answer] = find(IN_CONTAINER, name, why, INDEX)
  const isError = { in: ANSWER, offset: ANSWER_TYPE, sizeBytes: 2, equals: NLMSG_ERROR, errno: 'EEXIST' } as const
  return [send, { call: answer.call, why, see: SEE, check: isError }]
}

interface Move {
  readonly from: Slot
  readonly name: string
  readonly to: Slot
  readonly as: string
}

function move({ from, name, to, as }: Move): readonly Step[] {
  const attributes = [{ type: IFLA_NET_NS_FD, value: to }, textAttribute(IFLA_IFNAME, as)]
  return [
    ...find(from, name, `find the network device ${name}`, INDEX),
    ...ask(from, { type: RTM_NEWLINK, body: linkBody(INDEX), attributes }, `move the network device ${name}, as ${as}`),
  ]
}

/** Addresses come first: those of IPv6 would be checked for duplicates only once the device is up. */
const restore = (route: Slot, name: string, addresses: readonly LinkAddress[]): readonly Step[] => [
  ...find(route, name, `find the network device ${name} again`, INDEX),
  ...addresses.flatMap((address) => addAddress(route, name, address)),
  ...ask(
    route,
    { type: RTM_NEWLINK, body: linkBody(INDEX, IFF_UP, IFF_UP), attributes: [] },
    `switch the network device ${name} on`,
  ),
]

function addAddress(route: Slot, name: string, address: LinkAddress): readonly Step[] {
  const { family, prefixLength, scope, flags, attributes } = address
  const kept = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_RT_PRIORITY].flatMap((type): readonly Attribute[] => {
    const value = attributes.get(type)
    return value === undefined ? [] : [{ type, value }]
  })
  return ask(
    route,
    {
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: addressBody({ family, prefixLength, scope, index: INDEX }),
      attributes: [...kept, numberAttribute(IFA_FLAGS, flags & IFA_F_ASKED)],
    },
    `give the network device ${name} its address back`,
  )
}
