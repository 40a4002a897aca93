/**
 * The name server of a container, native/resolver.c: a process beside it that listens in the container's network and asks in this machine's.
 *
 * It is started with the two sockets and without anything else: no privilege, a root that holds the files of networks alone, and a filter of
 * system calls that lets it open files for reading. A lock on a file says that it lives, and which process it is.
 *
 * A container may have a server of its own on port 53. So ours listens on another one, and what goes to 127.0.0.11:53 is led there within the
 * network of the container, as docker has it.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { capset } from '../linux/credentials.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  chdir,
  chroot,
  close,
  closeRange,
  dup3,
  LAST_FD,
  lockRecord,
  O_CREAT,
  O_RDWR,
  openat,
  pipe2,
  read,
  write,
} from '../linux/files.ts'
import { CLONE_NEWNET, clone3, setns } from '../linux/namespaces.ts'
import {
  batch,
  bigEndian16,
  destinationAddress,
  destinationPort,
  equals,
  flushChain,
  load,
  meta,
  NFPROTO_IPV4,
  newChain,
  newRule,
  newTable,
  REGISTER,
  redirect,
} from '../linux/nftables.ts'
import {
  execveat,
  P_PIDFD,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  prctl,
  SI_PID,
  SIGINFO_BYTES,
  seccompFilter,
  setsid,
  WEXITED,
  WNOHANG,
  waitid,
} from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import { AF_INET, bind, inetAddress, listen, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, socket } from '../linux/sockets.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import { compileSeccomp } from '../seccomp/compile.ts'
import { planRules } from './network-filter.ts'
import { HOSTS, NAMESPACE } from './network-slots.ts'
import type { Ref, Step } from './plan.ts'

export interface Resolver {
  /** Of native/resolver.c, as a program: a descriptor of the executor. */
  readonly image: number
  /** The file of its lock; absolute. */
  readonly lock: string
  /** The directory of all networks. */
  readonly root: string
  /** Of 127.0.0.11, on which nobody listens. */
  readonly port: number
  /** 8 or 32 hexadecimal digits each; without any it answers for neighbours alone. */
  readonly servers: readonly string[]
  readonly networks: readonly string[]
  readonly architecture: 'x86_64' | 'aarch64'
}

const SEE: readonly Ref[] = ['native/resolver.c']
/** In the program; beyond those that the executor has. */
const [UDP_FD, TCP_FD, LOCK_FD] = [40, 41, 42]
const [PIDFD, READY] = [slot('resolver-pidfd'), slot('resolver-ready')]
const PIPE = buffer('resolver-pipe', 8)
const SIGKILL = signalNumber('SIGKILL')
const NOBODY = { low: 0, high: 0 }

/** With HOSTS and NAMESPACE open, in the network of this machine. */
export function planResolver(resolver: Resolver): readonly Step[] {
  const [pidfd, exit] = [buffer('resolver-pidfd', 4), buffer('resolver-exit', SIGINFO_BYTES)]
  const other = slot('resolver-other-end')
  const why = 'have a name server beside the container'
  return [
    {
      call: pipe2(PIPE),
      why,
      see: ['pipe(2)'],
      keep: [
        { slot: READY, in: PIPE, offset: 0, sizeBytes: 4 },
        { slot: other, in: PIPE, offset: 4, sizeBytes: 4 },
      ],
    },
    {
      call: clone3({ flags: 0, pidfd }),
      why,
      see: ['clone(2)'],
      keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [...withExecutor(other), ...child(resolver)],
    },
    { call: close(other), why, see: ['close(2)'] },
    // One byte once it begins; its end of the pipe closes when it becomes the program, or ends.
    ...['see the name server begin', 'see the name server take over'].map(
      (why): Step => ({ call: read(READY, buffer('resolver-turn', 1)), why, see: ['execve(2)'] }),
    ),
    {
      call: waitid(P_PIDFD, PIDFD, exit, WEXITED | WNOHANG),
      why,
      see: ['waitid(2)'],
      check: { in: exit, offset: SI_PID, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
    },
  ]
}

/** Until it is the program, whose lock everybody sees, it ends with the executor; which has to be there still to read a byte. */
const withExecutor = (other: Slot): readonly Step[] => [
  { call: close(READY), why: 'leave the end to the executor', see: ['pipe(2)'] },
  { call: prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), why: 'end with the executor', see: ['PR_SET_PDEATHSIG(2const)'] },
  { call: write(other, 'b', 1), why: 'know that the executor lives', see: ['pipe(7)'] },
]

function child({ image, lock, root, port, servers, networks, architecture }: Resolver): readonly Step[] {
  const [nothing, file] = [slot('nothing'), slot('resolver-lock')]
  const words = [
    'coffer-resolver',
    `${UDP_FD}`,
    `${TCP_FD}`,
    servers.length === 0 ? '-' : servers.join(','),
    ...networks,
  ]
  return [
    { call: setsid(), why: 'leave the session of the caller', see: ['setsid(2)'] },
    ...toNetwork(NAMESPACE, 'listen in the network of the container'),
    ...listening(SOCK_DGRAM, port, UDP_FD),
    ...listening(SOCK_STREAM, port, TCP_FD),
    ...planRules(toResolver(port)),
    ...toNetwork(HOSTS, 'ask in the network of this machine'),
    { call: openat(AT_FDCWD, '/dev/null', O_RDWR), why: 'read and write nothing', see: SEE, into: nothing },
    ...[0, 1, 2].map((fd): Step => ({ call: dup3(nothing, fd), why: 'read and write nothing', see: ['dup(2)'] })),
    {
      call: openat(AT_FDCWD, lock, O_RDWR | O_CREAT, 0o600),
      why: 'say who the name server is',
      see: ['fcntl(2)'],
      into: file,
    },
    { call: closeRange(3, LAST_FD, CLOSE_RANGE_CLOEXEC), why: 'hand nothing else over', see: ['close_range(2)'] },
    // A lock of fcntl(2) goes with the first descriptor of the file that is closed: there is one.
    { call: dup3(file, LOCK_FD), why: 'hand the lock over', see: ['dup(2)'] },
    { call: close(file), why: 'hand the lock over', see: ['close(2)'] },
    { call: lockRecord(LOCK_FD), why: 'be the only name server of the container', see: ['fcntl(2)'] },
    ...[UDP_FD, TCP_FD].map(
      (fd): Step => ({ call: dup3(LISTENING[fd] ?? file, fd), why: 'hand a socket over', see: ['dup(2)'] }),
    ),
    { call: chroot(root), why: 'see the files of networks alone', see: ['chroot(2)'] },
    { call: chdir('/'), why: 'see the files of networks alone', see: ['chdir(2)'] },
    {
      call: capset({ effective: NOBODY, permitted: NOBODY, inheritable: NOBODY }),
      why: 'have no privilege',
      see: ['capabilities(7)'],
    },
    { call: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), why: 'get no privilege', see: ['prctl(2)'] },
    { call: prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0), why: 'outlive the executor', see: ['PR_SET_PDEATHSIG(2const)'] },
    {
      call: seccompFilter(FILTERS[architecture], 0),
      why: 'make only the system calls of a name server',
      see: ['seccomp(2)'],
    },
    {
      call: execveat(image, '', { strings: words }, { strings: [] }, AT_EMPTY_PATH),
      why: 'answer for names',
      see: ['execveat(2)', ...SEE],
    },
  ]
}

const toNetwork = (namespace: Slot, why: string): readonly Step[] => [
  { call: setns(namespace, CLONE_NEWNET), why, see: ['setns(2)'] },
]

const LISTENING: Readonly<Record<number, Slot>> = {
  [UDP_FD]: slot('resolver-udp'),
  [TCP_FD]: slot('resolver-tcp'),
}
const ADDRESS = Uint8Array.of(127, 0, 0, 11)
const BACKLOG = 16

function listening(type: number, port: number, fd: number): readonly Step[] {
  const made = LISTENING[fd] ?? slot('listening')
  const why = 'listen at 127.0.0.11'
  return [
    { call: socket(AF_INET, type | SOCK_NONBLOCK), why, see: ['ip(7)'], into: made },
    { call: bind(made, inetAddress(ADDRESS, port)), why, see: ['bind(2)'] },
    ...(type === SOCK_STREAM ? [{ call: listen(made, BACKLOG), why, see: ['listen(2)'] } as const] : []),
  ]
}

const TABLE = 'coffer'

/** In the network of the container: what goes to 127.0.0.11:53 goes to that port. */
const toResolver = (port: number): Uint8Array =>
  batch([
    newTable(TABLE),
    newChain({ table: TABLE, name: 'names', type: 'nat', hook: 'output', priority: -100 }),
    flushChain(TABLE, 'names'),
    ...[6, 17].map((protocol) =>
      newRule(TABLE, 'names', [
        meta('nfproto'),
        equals(Uint8Array.of(NFPROTO_IPV4)),
        meta('l4proto'),
        equals(Uint8Array.of(protocol)),
        destinationPort(),
        equals(bigEndian16(53)),
        destinationAddress(),
        equals(ADDRESS),
        load(bigEndian16(port), REGISTER + 1),
        redirect(NFPROTO_IPV4, REGISTER, REGISTER + 1),
      ]),
    ),
  ])

const CALLS =
  'accept4 clock_gettime close connect execveat exit_group getdents64 getrandom ppoll readlinkat recvfrom sendto socket'

const PROFILE: Seccomp = {
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: [],
  flags: [],
  syscalls: [
    { names: CALLS.split(' '), action: 'SCMP_ACT_ALLOW', args: [] },
    {
      names: ['openat'],
      action: 'SCMP_ACT_ALLOW',
      // Neither O_WRONLY nor O_RDWR nor O_CREAT nor O_TRUNC.
      args: [{ index: 2, value: 0o1103, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    },
  ],
}

const filterOf = (nativeArchitecture: 'SCMP_ARCH_X86_64' | 'SCMP_ARCH_AARCH64'): Uint8Array =>
  compileSeccomp(PROFILE, { nativeArchitecture, place: 'the name server' }).filter

const FILTERS = { x86_64: filterOf('SCMP_ARCH_X86_64'), aarch64: filterOf('SCMP_ARCH_AARCH64') } as const
