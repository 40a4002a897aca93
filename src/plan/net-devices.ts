/**
 * Network devices of the host that move into the container, under the name that it knows them by, with their addresses, and up.
 *
 * A process of its own does it: it opens a socket of rtnetlink in the namespace of the host, moves the devices, enters that of the container and
 * opens another one there. If the container comes to nothing the devices come back the same way; if it ends, the kernel gives devices of hardware
 * back to the host, and those that are only software are gone. Source: oci:runtime-spec/config-linux.md#network-devices, rtnetlink(7)
 */

import { type Buffer, buffer, type Slot, slot, text } from '../linux/call.ts'
import { O_RDONLY, openat } from '../linux/files.ts'
import { IFF_UP } from '../linux/interfaces.ts'
import { CLONE_NEWNET, clone3, setns } from '../linux/namespaces.ts'
import {
  AF_NETLINK,
  ANSWER_ERROR,
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
  LINK_INDEX,
  linkBody,
  type Message,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  netlinkMessage,
  numberAttribute,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  receive,
  SOCK_RAW,
  textAttribute,
} from '../linux/netlink.ts'
import type { LinkAddress } from '../linux/netlink-read.ts'
import { getpid, P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import { sendto, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'
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
const ROUTE = slot('rtnetlink')
const INDEX = slot('device-index')
/** The beginning of an answer; what is longer is cut off. */
const ANSWER: Buffer = buffer('answer', 64)

/** For init: nothing that concerns its devices may happen before they are there. */
export const awaitDevices: Step = hear('child', 'd', 'have its network devices')

/** For the executor, once init is in its namespaces; init waits. */
export function planNetDevices(devices: readonly MovedDevice[]): readonly Step[] {
  if (devices.length === 0) return []
  const why = 'know both network namespaces'
  const back = devices.map(({ device, name, addresses }) => ({ device: name, name: device, addresses })).reverse()
  return [
    { call: openat(HOST_PROC, 'self/ns/net', O_RDONLY), why, see: SEE, into: HOSTS },
    { call: openat(HOST_PROC, text(INIT_PID, '/ns/net'), O_RDONLY), why, see: SEE, into: CONTAINERS },
    ...inProcess('move network devices into the container', moveAll(devices, CONTAINERS), [
      { call: setns(CONTAINERS, CLONE_NEWNET), why: 'find the devices again', see: ['setns(2)'] },
      ...moveAll(back, HOSTS, 'may have stayed'),
    ]),
    tell('executor', 'd', 'tell init that its network devices are there'),
  ]
}

const PIDFD = slot('mover-pidfd')
const EXIT = buffer('mover-exit', SIGINFO_BYTES)

function inProcess(why: string, child: readonly Step[], undo: readonly Step[]): readonly Step[] {
  const pidfd = buffer('mover-pidfd', 4)
  const run = (steps: readonly Step[], reason: string): Step => ({
    call: clone3({ flags: 0, pidfd }),
    why: reason,
    see: ['clone(2)', ...SEE],
    keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
    child: steps,
  })
  const reap: Step = { call: waitid(P_PIDFD, PIDFD, EXIT), why, see: ['waitid(2)'] }
  return [
    { ...run(child, why), undo: [run(undo, 'give the network devices back to the host'), reap] },
    { ...reap, check: { in: EXIT, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECHILD' } },
  ]
}

/** Moves them out of the current network namespace, goes after them, and makes them what they were. */
function moveAll(devices: readonly MovedDevice[], to: Slot, absent?: 'may have stayed'): readonly Step[] {
  return [
    openRoute,
    ...devices.flatMap((device) => move(device, to, absent)),
    { call: setns(to, CLONE_NEWNET), why: 'go where the devices are', see: ['setns(2)'] },
    openRoute,
    ...devices.flatMap((device) => restore(device)),
  ]
}

const openRoute: Step = {
  call: socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
  why: 'configure network devices',
  see: SEE,
  into: ROUTE,
}

function move({ device, name }: MovedDevice, to: Slot, absent?: 'may have stayed'): readonly Step[] {
  const why = device === name ? `move the network device ${device}` : `move the network device ${device}, as ${name}`
  const attributes = [{ type: IFLA_NET_NS_FD, value: to }, textAttribute(IFLA_IFNAME, name)]
  const steps = ask({ type: RTM_NEWLINK, body: linkBody(INDEX), attributes }, why)
  const [send, answer] = find(device, `find the network device ${device}`)
  if (absent === undefined) return [send, answer, ...steps]
  return [send, { ...answer, tolerate: ['ENODEV'], then: steps }]
}

/** A name is looked up once; after that the index says which device is meant. */
function find(name: string, why: string): readonly [Step, Step] {
  const message = netlinkMessage({
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    body: linkBody(0),
    attributes: [textAttribute(IFLA_IFNAME, name)],
  })
  return [
    { call: sendto(ROUTE, message, message.struct.length), why, see: SEE },
    {
      call: receive(ROUTE, ANSWER),
      why,
      see: SEE,
      check: { in: ANSWER, offset: ANSWER_TYPE, sizeBytes: 2, equals: RTM_NEWLINK, errno: 'ENODEV' },
      keep: [{ slot: INDEX, in: ANSWER, offset: LINK_INDEX, sizeBytes: 4 }],
    },
  ]
}

/** Addresses come first: those of IPv6 would be checked for duplicates only once the device is up. */
function restore({ name, addresses }: MovedDevice): readonly Step[] {
  return [
    ...find(name, `find the network device ${name} again`),
    ...addresses.flatMap((address) => addAddress(address, name)),
    ...ask(
      { type: RTM_NEWLINK, body: linkBody(INDEX, IFF_UP, IFF_UP), attributes: [] },
      `switch the network device ${name} on`,
    ),
  ]
}

function addAddress({ family, prefixLength, scope, flags, attributes }: LinkAddress, name: string): readonly Step[] {
  const kept = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_RT_PRIORITY].flatMap((type): readonly Attribute[] => {
    const value = attributes.get(type)
    return value === undefined ? [] : [{ type, value }]
  })
  return ask(
    {
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: addressBody({ family, prefixLength, scope, index: INDEX }),
      attributes: [...kept, numberAttribute(IFA_FLAGS, flags & IFA_F_ASKED)],
    },
    `give the network device ${name} its address back`,
  )
}

/** Sends a message, and fails with what the kernel answers. */
function ask(message: Omit<Message, 'flags'> & { readonly flags?: number }, why: string): readonly Step[] {
  const bytes = netlinkMessage({ ...message, flags: (message.flags ?? 0) | NLM_F_REQUEST | NLM_F_ACK })
  const answers = { in: ANSWER, offset: ANSWER_ERROR, sizeBytes: 4 } as const
  // The errno of a check is fixed, so there is one for each that says something, and one for all others.
  const refusals = REFUSALS.map(
    ([errno, number]): Step => ({
      call: getpid(),
      why,
      see: SEE,
      check: { ...answers, differs: 2 ** 32 - number, errno },
    }),
  )
  return [
    { call: sendto(ROUTE, bytes, bytes.struct.length), why, see: SEE },
    { call: receive(ROUTE, ANSWER), why, see: SEE },
    ...refusals,
    { call: getpid(), why, see: SEE, check: { ...answers, equals: 0, errno: 'EIO' } },
  ]
}

const REFUSALS = [
  ['EPERM', 1],
  ['ENODEV', 19],
  ['EEXIST', 17],
  ['EBUSY', 16],
  ['EINVAL', 22],
] as const
