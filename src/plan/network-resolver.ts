/**
 * The name server of a container, native/resolver.c: a process beside it that listens in the container's network and asks in this machine's.
 *
 * It is started with the two sockets and without anything else: no privilege, a root that holds the files of networks alone, and a filter of
 * system calls that lets it open files for reading. A lock on a file says that it lives, and which process it is.
 *
 * A container may have a server of its own on port 53. So ours listens on another one, and what goes to 127.0.0.11:53 is led there within the
 * network of the container, as docker has it.
 */

import { type Slot, slot } from '../linux/call.ts'
import { capset } from '../linux/credentials.ts'
import { AT_EMPTY_PATH, chdir, chroot, dup3 } from '../linux/files.ts'
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
import { execveat, PR_SET_NO_NEW_PRIVS, prctl, seccompFilter } from '../linux/process.ts'
import { AF_INET, bind, inetAddress, listen, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, socket } from '../linux/sockets.ts'
import {
  allowMasked,
  besideFilters,
  handNothingElseOver,
  holdLock,
  planBeside,
  readNothing,
  toNetwork,
} from './network-beside.ts'
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
const [UDP_FD, TCP_FD] = [40, 41]
const NOBODY = { low: 0, high: 0 }

/** With HOSTS and NAMESPACE open, in the network of this machine. */
export const planResolver = (resolver: Resolver): readonly Step[] =>
  planBeside({ name: 'a name server', prepare: prepare(resolver), become: become(resolver) })

function prepare({ lock, root, port }: Resolver): readonly Step[] {
  return [
    ...toNetwork(NAMESPACE, 'listen in the network of the container'),
    ...listening(SOCK_DGRAM, port, UDP_FD),
    ...listening(SOCK_STREAM, port, TCP_FD),
    ...planRules(toResolver(port)),
    ...toNetwork(HOSTS, 'ask in the network of this machine'),
    ...readNothing(SEE),
    handNothingElseOver,
    ...holdLock(lock, 'say who the name server is'),
    ...[UDP_FD, TCP_FD].map(
      (fd): Step => ({
        call: dup3(LISTENING[fd] ?? slot('listening'), fd),
        why: 'hand a socket over',
        see: ['dup(2)'],
      }),
    ),
    { call: chroot(root), why: 'see the files of networks alone', see: ['chroot(2)'] },
    { call: chdir('/'), why: 'see the files of networks alone', see: ['chdir(2)'] },
    {
      call: capset({ effective: NOBODY, permitted: NOBODY, inheritable: NOBODY }),
      why: 'have no privilege',
      see: ['capabilities(7)'],
    },
    { call: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), why: 'get no privilege', see: ['prctl(2)'] },
  ]
}

function become({ image, servers, networks, architecture }: Resolver): readonly Step[] {
  const words = [
    'coffer-resolver',
    `${UDP_FD}`,
    `${TCP_FD}`,
    servers.length === 0 ? '-' : servers.join(','),
    ...networks,
  ]
  return [
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
  'accept4 clock_gettime close connect execveat exit_group getdents64 getrandom ppoll prctl readlinkat recvfrom sendto socket'

const FILTERS = besideFilters('the name server', [
  { names: CALLS.split(' '), action: 'SCMP_ACT_ALLOW', args: [] },
  // Neither O_WRONLY nor O_RDWR nor O_CREAT nor O_TRUNC.
  allowMasked('openat', 2, 0o1103),
])
