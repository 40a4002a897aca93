/**
 * The way out of a network namespace that has nothing but lo: sockets inside, and a relay outside that holds them.
 *
 *     executor            in the network namespace of this machine
 *       ├ relay           native/relay.c: takes connections inside and makes others outside, as its policy says
 *       └ init            makes the sockets while its namespace is empty, and hands them over
 *
 * All addresses are made those of lo, so a connection never looks for a way out: what the relay listens at is taken, and all else the kernel
 * refuses at once (SECURITY-CHECKS S237, S289). The relay is in the cgroups of the container, whose limits hold for it as well, and ends with
 * the executor, the container and the policy.
 *
 * Source: ip(7), rtnetlink(7), unix(7); decisions/0019
 */

import { utf8 } from '../linux/bytes.ts'
import { buffer, type Slot, slot, strings, text } from '../linux/call.ts'
import { AT_EMPTY_PATH, close, F_SETFD, fcntl } from '../linux/files.ts'
import { CLONE_VFORK, clone3 } from '../linux/namespaces.ts'
import {
  addressBody,
  IFA_ADDRESS,
  IFA_LOCAL,
  localRouteBody,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  numberAttribute,
  RTA_OIF,
  RTM_NEWADDR,
  RTM_NEWROUTE,
} from '../linux/netlink.ts'
import { ppollAny } from '../linux/poll.ts'
import {
  execveat,
  P_PIDFD,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  pidfdSendSignal,
  prctl,
  SI_PID,
  SIGINFO_BYTES,
  setgroups,
  setresgid,
  setresuid,
  WEXITED,
  WNOHANG,
  waitid,
} from '../linux/process.ts'
import { prlimit } from '../linux/rlimits.ts'
import {
  AF_INET,
  AF_INET6,
  bind,
  freeBind,
  inetAddress,
  listen,
  onlyIpv6,
  RIGHTS_FD,
  receiveDescriptor,
  reuseAddress,
  rightsBytes,
  rightsLength,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  sendDescriptors,
  socket,
} from '../linux/sockets.ts'
import type { CgroupJoin } from './cgroup-join.ts'
import { planRefusals, refusalSockets } from './egress-refusals.ts'
import type { Host } from './host.ts'
import { openProgram } from './own-program.ts'
import type { Ref, Step } from './plan.ts'
import { ask, openRoute } from './rtnetlink.ts'
import { CHILD_END, PARENT_END } from './slots.ts'
import { endProcess } from './stage.ts'
import { planConnect } from './unix-socket.ts'

export interface EgressRequest extends Ways {
  /** native/relay.c, as an ELF file. */
  readonly relay: Uint8Array
  /** The path of a unix socket at which the policy of the relay waits for it. */
  readonly policy: string
}

export interface Ways {
  /** Where the relay listens inside; `bytes` are 4 or 16. At most 240. */
  readonly listeners: readonly { readonly address: { readonly bytes: Uint8Array }; readonly port: number }[]
  /** Whether a new network namespace of this machine has IPv6. */
  readonly hasIpv6: boolean
}

/** Where the container asks for names: what its resolv.conf has to say. */
export const NAME_SERVER = '127.0.0.53'

const SEE: readonly Ref[] = ['ip(7)', 'network_namespaces(7)']
const PROGRAM = slot('relay-program')
const POLICY = slot('relay-policy')
const PIDFD = slot('relay-pidfd')
const RELAY_EXIT = buffer('relay-exit', SIGINFO_BYTES)
const ROUTE = slot('egress-route')
const [NAMES_UDP, NAMES_TCP] = [slot('names-udp'), slot('names-tcp')]

/** For the executor, before it makes anything: a policy that nobody has is an error of the caller's. */
export const openEgress = ({ relay, policy }: EgressRequest): readonly Step[] => [
  ...planConnect({
    path: policy,
    field: 'the socket of the policy',
    into: POLICY,
    why: 'reach the policy of the relay',
  }),
  ...openProgram({ elf: relay, name: 'coffer-relay', into: PROGRAM }),
]

/** In the network namespace of the container, with lo on: for init, or whoever has the other end `to` of a pair of sockets. */
export const planEgress = (ways: Ways, to: Slot | number = CHILD_END): readonly Step[] => [
  ...planWays(ways),
  {
    call: sendDescriptors(to, socketsOf(ways), utf8('e')),
    why: 'hand the sockets to the relay',
    see: ['unix(7)', 'cmsg(3)'],
  },
]

/** In the network namespace, with CAP_NET_ADMIN and CAP_NET_RAW over it. The relay of before is gone, if there was one. */
export const planWays = (ways: Ways): readonly Step[] => [
  openRoute(ROUTE),
  ...familiesOf(ways).flatMap(ownAll),
  ...listenAt({ bytes: NAME_SERVER_BYTES, port: 53, into: NAMES_TCP }),
  { call: socket(AF_INET, SOCK_DGRAM), why: WHY_NAMES, see: SEE, into: NAMES_UDP },
  { call: bind(NAMES_UDP, inetAddress(NAME_SERVER_BYTES, 53)), why: WHY_NAMES, see: SEE },
  ...planRefusals(ways.hasIpv6),
  ...listenersOf(ways).flatMap(listenAt),
]

const WHY_NAMES = 'be asked for names'
const NAME_SERVER_BYTES = Uint8Array.from(NAME_SERVER.split('.'), Number)
const BACKLOG = 128
const LO = 1
const SCOPE_UNIVERSE = 0

const familiesOf = ({ hasIpv6 }: Ways): readonly Family[] => (hasIpv6 ? [FOUR, SIX] : [FOUR])

interface Family {
  readonly name: string
  readonly number: number
  /** One that is no loopback's: programs that ask whether there is a network at all look for it (AI_ADDRCONFIG, getaddrinfo(3)). */
  readonly own: Uint8Array
}

const FOUR: Family = { name: 'IPv4', number: AF_INET, own: Uint8Array.of(198, 18, 0, 1) }
const SIX: Family = {
  name: 'IPv6',
  number: AF_INET6,
  own: Uint8Array.of(0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
}

function ownAll({ name, number, own }: Family): readonly Step[] {
  const flags = NLM_F_CREATE | NLM_F_REPLACE
  return [
    ...ask(
      ROUTE,
      {
        type: RTM_NEWADDR,
        flags,
        body: addressBody({ family: number, prefixLength: own.length * 8, scope: SCOPE_UNIVERSE, index: LO }),
        attributes: [
          { type: IFA_LOCAL, value: own },
          { type: IFA_ADDRESS, value: own },
        ],
      },
      `give lo an address of ${name}`,
    ),
    ...ask(
      ROUTE,
      {
        type: RTM_NEWROUTE,
        flags,
        body: localRouteBody(number, 0),
        attributes: [numberAttribute(RTA_OIF, LO)],
      },
      `have all addresses of ${name} lead to lo`,
    ),
  ]
}

interface Listener {
  readonly bytes: Uint8Array
  readonly port: number
  readonly into: Slot
}

const listenersOf = ({ listeners, hasIpv6 }: Ways): readonly Listener[] =>
  listeners
    .filter(({ address }) => hasIpv6 || address.bytes.length === 4)
    .map(({ address: { bytes }, port }, index) => ({ bytes, port, into: slot(`listener-${index}`) }))

function listenAt({ bytes, port, into }: Listener): readonly Step[] {
  const isFour = bytes.length === 4
  const at = { why: into === NAMES_TCP ? WHY_NAMES : `take connections to port ${port} in its stead`, see: SEE }
  return [
    { call: socket(isFour ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK), ...at, into },
    // Somebody may have killed the relay of before.
    { call: reuseAddress(into), ...at },
    ...(isFour ? [] : [onlyIpv6(into), freeBind(into)].map((call) => ({ call, ...at }))),
    { call: bind(into, inetAddress(bytes, port)), ...at },
    { call: listen(into, BACKLOG), ...at },
  ]
}

/** In the order in which they are handed over. */
const socketsOf = (ways: Ways): readonly Slot[] => [
  NAMES_UDP,
  NAMES_TCP,
  ...refusalSockets(ways.hasIpv6),
  ...listenersOf(ways).map(({ into }) => into),
]

/** What planEgress sends. */
export function receiveSockets(ways: Ways, from: Slot | number): Step {
  const sockets = socketsOf(ways)
  const rights = buffer('egress-rights', rightsBytes(sockets.length))
  return {
    call: receiveDescriptor(from, buffer('turn', 1), rights),
    why: 'have the sockets for the relay',
    see: ['unix(7)', 'cmsg(3)'],
    check: { in: rights, offset: 0, sizeBytes: 4, equals: rightsLength(sockets.length), errno: 'ECONNRESET' },
    keep: sockets.map((into, index) => ({
      slot: into,
      in: rights,
      offset: RIGHTS_FD + 4 * index,
      sizeBytes: 4 as const,
    })),
  }
}

/** For the executor, as the first that it hears from init: the sockets, and the relay, which has them from then on. */
export function planRelay(egress: EgressRequest, cgroup: CgroupJoin, host: Pick<Host, 'isRootless'>): readonly Step[] {
  const sockets = socketsOf(egress)
  const pidfd = buffer('relay-pidfd', 4)
  return [
    receiveSockets(egress, PARENT_END),
    {
      call: clone3({
        flags: CLONE_VFORK,
        pidfd,
        ...(cgroup.cloneInto === undefined ? {} : { cgroup: cgroup.cloneInto }),
      }),
      why: 'make the relay',
      see: ['clone(2)', 'native/relay.c'],
      keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [
        ...cgroup.join,
        ...becomeNobody(host),
        {
          call: prctl(PR_SET_PDEATHSIG, 9),
          why: 'have the relay end with the executor',
          see: ['PR_SET_PDEATHSIG(2const)'],
        },
        ...becomeRelay(egress, { image: PROGRAM, policy: POLICY }),
      ],
      undo: endProcess(PIDFD, 'the relay'),
    },
    {
      call: waitid(P_PIDFD, PIDFD, RELAY_EXIT, WEXITED + WNOHANG),
      why: 'be sure that the relay runs',
      see: ['waitid(2)'],
      check: { in: RELAY_EXIT, offset: SI_PID, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
    },
    ...[POLICY, ...sockets].map((fd) => ({
      call: close(fd),
      why: 'leave the sockets to the relay alone, so that nobody waits for one that is gone',
      see: ['close(2)'],
    })),
  ]
}

const SIGKILL = 9
const SIGTERM = 15
const LAST_WORDS_MS = 1000

/** When the container has ended, and before its cgroups are removed. It is given time to tell what was refused. */
export const endRelay: readonly Step[] = [
  {
    call: pidfdSendSignal(PIDFD, SIGTERM),
    why: 'have the relay end',
    see: ['pidfd_send_signal(2)', 'native/relay.c'],
    tolerate: ['ESRCH'],
  },
  { call: ppollAny([PIDFD], LAST_WORDS_MS), why: 'let the relay tell what was refused', see: ['ppoll(2)'] },
  {
    call: pidfdSendSignal(PIDFD, SIGKILL),
    why: 'kill the relay',
    see: ['pidfd_send_signal(2)'],
    tolerate: ['ESRCH'],
  },
  { call: waitid(P_PIDFD, PIDFD, RELAY_EXIT), why: 'wait until the relay is gone', see: ['waitid(2)'] },
]

const NOBODY = 65_534
/** native/relay.c has at most two for each of 256 connections, 240 listeners, and some. */
const DESCRIPTORS = 1024

/** The relay needs nothing of root, and hostile programs talk to it. */
export function becomeNobody({ isRootless }: Pick<Host, 'isRootless'>): readonly Step[] {
  const at = { why: 'have the relay be nobody', see: ['credentials(7)'] }
  return [
    {
      call: prlimit(0, 'RLIMIT_NOFILE', { soft: DESCRIPTORS, hard: DESCRIPTORS }),
      why: 'let the relay have a descriptor for each connection',
      see: ['prlimit(2)'],
      // The caller may have fewer: the relay takes connections while it has descriptors.
      tolerate: ['EPERM'],
    },
    ...(isRootless
      ? []
      : [
          { call: setgroups(0, new Uint8Array()), ...at },
          { call: setresgid(NOBODY, NOBODY, NOBODY), ...at },
          { call: setresuid(NOBODY, NOBODY, NOBODY), ...at },
        ]),
    { call: prctl(PR_SET_NO_NEW_PRIVS, 1), ...at },
  ]
}

/** So many native/relay.c has arguments for. */
const REFUSALS = 4

interface RelayParts {
  readonly image: Slot | number
  /** The relay's end of a socket to its policy. */
  readonly policy: Slot
}

/** With the sockets of planWays. */
export function becomeRelay(ways: Ways, { image, policy }: RelayParts): readonly Step[] {
  const refusals = refusalSockets(ways.hasIpv6)
  const words = [
    'coffer-relay',
    ...[policy, NAMES_UDP, NAMES_TCP, ...refusals].map((fd) => text(fd)),
    ...new Array<string>(REFUSALS - refusals.length).fill('-'),
    ...listenersOf(ways).map(({ into }) => text(into)),
  ]
  return [
    ...[policy, ...socketsOf(ways)].map((fd) => ({
      call: fcntl(fd, F_SETFD, 0),
      why: 'hand it to the relay',
      see: ['fcntl(2)'],
    })),
    {
      call: execveat(image, '', strings(words), strings([]), AT_EMPTY_PATH),
      why: 'become the relay',
      see: ['execveat(2)', 'native/relay.c'],
    },
  ]
}
