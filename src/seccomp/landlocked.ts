/**
 * Docker's default profile for a process that has no namespaces of its own: what Landlock does not see, and what it could reach of others.
 *
 * Source of the list: landlock(7) "CAVEATS"; kernel:userspace-api/landlock.rst "Current limitations". docs/decisions/0021
 */

import type { Seccomp, SeccompArgument, SeccompRule } from '../oci/seccomp.ts'
import { type MobyDefault, mobyDefaultProfile } from './moby-default.ts'

export interface LandlockedProfile extends MobyDefault {
  /** `none`: no socket but pairs, which lead nowhere. `host`: IP as that of this machine; no unix socket, as these lead to its services. */
  readonly network: 'none' | 'host'
  /** Whether modes, owners, times and extended attributes of files may change: Landlock does not know whose they are. */
  readonly changesAttributes: boolean
}

/** A process that leaves the session or the group could not be ended with the others: there is no pid namespace. */
const LEAVES = 'setsid setpgid'
/** Objects of all processes of the machine, in memory that nobody takes back: there is no ipc namespace. */
const SHARED =
  'shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semctl semtimedop semtimedop_time64 mq_open mq_unlink ' +
  'mq_notify mq_getsetattr mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64'
/** Names of files of directories that it may not read. */
const WATCHES = 'inotify_add_watch fanotify_mark'
const ATTRIBUTES =
  'chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr setxattrat removexattr ' +
  'lremovexattr fremovexattr removexattrat utime utimes futimesat utimensat utimensat_time64'
const SOCKETS = 'socket socketpair socketcall ipc'
const ADDRESSES = 'connect bind listen accept accept4'
/** Of another process of the same user as well, unless the first argument says that it is about the caller. */
const BY_PID = 'prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler'
const BY_KIND = 'setpriority ioprio_set'

export function landlockedProfile(target: LandlockedProfile): Seccomp {
  const { network, changesAttributes } = target
  const words = [LEAVES, SHARED, WATCHES, SOCKETS, BY_PID, BY_KIND]
  if (!changesAttributes) words.push(ATTRIBUTES)
  if (network === 'none') words.push(ADDRESSES)
  const refused = new Set(words.join(' ').split(' '))
  const usual = mobyDefaultProfile(target)
  const kept = usual.syscalls.flatMap((rule): readonly SeccompRule[] => {
    const names = rule.names.filter((name) => !refused.has(name))
    return names.length === 0 ? [] : [{ ...rule, names }]
  })
  return {
    ...usual,
    // Programs of 32 bits have socketcall(2) and ipc(2), whose arguments no filter sees.
    architectures: [target.nativeArchitecture],
    syscalls: [...kept, ...PAIRS, ...OWN, ...(network === 'none' ? [] : INTERNET)],
  }
}

const allow = (names: string, ...args: readonly SeccompArgument[]): SeccompRule => ({
  names: names.split(' '),
  action: 'SCMP_ACT_ALLOW',
  args,
})
const is = (index: number, value: number): SeccompArgument => ({ index, op: 'SCMP_CMP_EQ', value, valueTwo: 0 })
/** Without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const isType = (value: number): SeccompArgument => ({
  index: 1,
  op: 'SCMP_CMP_MASKED_EQ',
  value: 0xf,
  valueTwo: value,
})

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_SEQPACKET = 5

/** Of streams and packets in order: a datagram could be sent to somebody else. */
const PAIRS: readonly SeccompRule[] = [SOCK_STREAM, SOCK_SEQPACKET].map((type) =>
  allow('socketpair', is(0, AF_UNIX), isType(type)),
)

/** ioprio_set of a process has 1 in front: ioprio_set(2) "IOPRIO_WHO_PROCESS". */
const OWN: readonly SeccompRule[] = [
  allow(BY_PID, is(0, 0)),
  allow('setpriority', is(0, 0), is(1, 0)),
  allow('ioprio_set', is(0, 1), is(1, 0)),
]

const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16

/** Netlink for what it says of routes: getaddrinfo(3) asks. */
const INTERNET: readonly SeccompRule[] = [
  allow('socket', is(0, AF_INET)),
  allow('socket', is(0, AF_INET6)),
  allow('socket', is(0, AF_NETLINK), is(2, 0)),
]
