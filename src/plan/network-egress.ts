/**
 * The way out of a container of the engine that has a list of hosts: as that of egress.ts, in a network namespace with a name.
 *
 *     relay     native/relay.c: makes its sockets in the network of the container, and is nobody in that of this machine
 *     policy    `coffer --egress`, without capabilities, below a filter of system calls: says where connections lead, and tells what was refused
 *
 * Both are beside the container, as its name server would be (network-beside.ts). When one is gone the other ends, and the container reaches
 * nothing until somebody starts both again. decisions/0024
 */

import { buffer, type Slot, slot, strings, text } from '../linux/call.ts'
import { capset } from '../linux/credentials.ts'
import { AT_EMPTY_PATH, close, F_SETFD, fcntl } from '../linux/files.ts'
import { execveat, PR_SET_NO_NEW_PRIVS, prctl, seccompFilter } from '../linux/process.ts'
import { AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, socketpair } from '../linux/sockets.ts'
import { becomeNobody, becomeRelay, planEgress, planWays, receiveSockets, type Ways } from './egress.ts'
import {
  allowMasked,
  besideFilters,
  handNothingElseOver,
  holdLock,
  planBeside,
  readNothing,
  toNetwork,
} from './network-beside.ts'
import { planLoopback } from './network-lo.ts'
import { HOSTS, NAMESPACE } from './network-slots.ts'
import type { Plan, Ref, Step } from './plan.ts'

export interface NetworkEgress extends Ways {
  /** Without root a process in the network of the container makes the sockets, and sends them to this descriptor of the executor: planHeldWays. */
  readonly sockets?: number | undefined
  /** Programs, as descriptors of the executor: native/relay.c, and this one. */
  readonly relay: number
  readonly front: number
  /** The files of their locks; absolute. */
  readonly relayLock: string
  readonly policyLock: string
  /** argv of the policy, behind which comes the descriptor at which it hears the relay. */
  readonly words: readonly string[]
  readonly architecture: 'x86_64' | 'aarch64'
}

const SEE: readonly Ref[] = ['native/relay.c']
const [RELAYS, POLICYS]: readonly [Slot, Slot] = [slot('relays-end'), slot('policys-end')]
const NOBODY = { low: 0, high: 0 }

/** In the network of this machine, with HOSTS and NAMESPACE open unless the sockets are sent. */
export function planNetworkEgress(egress: NetworkEgress): readonly Step[] {
  const ends = buffer('egress-ends', 8)
  return [
    ...(egress.sockets === undefined ? [] : [receiveSockets(egress, egress.sockets)]),
    {
      call: socketpair(AF_UNIX, SOCK_STREAM, ends),
      why: 'have the relay ask its policy',
      see: ['socketpair(2)'],
      keep: [
        { slot: RELAYS, in: ends, offset: 0, sizeBytes: 4 },
        { slot: POLICYS, in: ends, offset: 4, sizeBytes: 4 },
      ],
    },
    ...planBeside({ name: 'a policy', prepare: policy(egress), become: becomePolicy(egress) }),
    { call: close(POLICYS), why: 'have the relay hear when its policy ends', see: ['close(2)'] },
    ...planBeside({
      name: 'a relay',
      prepare: relay(egress),
      become: becomeRelay(egress, { image: egress.relay, policy: RELAYS }),
    }),
    { call: close(RELAYS), why: 'have the policy hear when its relay ends', see: ['close(2)'] },
  ]
}

const policy = ({ policyLock }: NetworkEgress): readonly Step[] => [
  ...readNothing(SEE),
  handNothingElseOver,
  ...holdLock(policyLock, 'say who the policy is'),
  { call: fcntl(POLICYS, F_SETFD, 0), why: 'hear the relay', see: ['fcntl(2)'] },
  {
    call: capset({ effective: NOBODY, permitted: NOBODY, inheritable: NOBODY }),
    why: 'have no privilege',
    see: ['capabilities(7)'],
  },
  { call: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), why: 'get no privilege', see: ['prctl(2)'] },
]

const becomePolicy = ({ front, words, architecture }: NetworkEgress): readonly Step[] => [
  {
    call: seccompFilter(FILTERS[architecture], 0),
    why: 'make only the system calls of a policy',
    see: ['seccomp(2)'],
  },
  {
    call: execveat(front, '', strings([...words, text(POLICYS)]), strings([]), AT_EMPTY_PATH),
    why: 'say where connections lead',
    see: ['execveat(2)'],
  },
]

const relay = (egress: NetworkEgress): readonly Step[] => [
  ...(egress.sockets === undefined ? makeSockets(egress) : []),
  ...readNothing(SEE),
  handNothingElseOver,
  ...holdLock(egress.relayLock, 'say who the relay is'),
  ...becomeNobody({ isRootless: egress.sockets !== undefined }),
]

const makeSockets = (egress: NetworkEgress): readonly Step[] => [
  ...toNetwork(NAMESPACE, 'listen in the network of the container'),
  ...planWays(egress),
  ...toNetwork(HOSTS, 'connect in the network of this machine'),
]

/** For a process in the network of the container, as root of the user namespace that owns it. `to` leads to the executor. */
export const planHeldWays = (name: string, ways: Ways, to: number): Plan => ({
  operation: `make the network of ${name}`,
  steps: [...planLoopback, ...planEgress(ways, to)],
})

/** Those of the front and its C library, for files, events and questions to name servers. */
const CALLS = [
  'arch_prctl brk clock_gettime close connect execveat exit exit_group fcntl futex getcwd getrandom getsockopt gettimeofday',
  'madvise mmap mprotect mremap munmap poll ppoll prctl pread64 read readlinkat recvfrom renameat2 restart_syscall rt_sigreturn',
  'sendto set_robust_list set_tid_address statx write',
]

const FILTERS = besideFilters('the policy', [
  { names: CALLS.join(' ').split(' '), action: 'SCMP_ACT_ALLOW', args: [] },
  // Neither O_RDWR nor O_TRUNC: it reads, and writes events behind others.
  allowMasked('openat', 2, 0o1002),
  ...[AF_INET, AF_INET6].map((value) => ({
    names: ['socket'],
    action: 'SCMP_ACT_ALLOW' as const,
    args: [{ index: 0, value, valueTwo: 0, op: 'SCMP_CMP_EQ' as const }],
  })),
])
