/**
 * A filter of system calls whose denials are told: docs/decisions/0020.
 *
 * The process shows its root directory and its user namespace to the executor and loads the filter. The executor gets the filter's listener, and
 * starts native/denials.c with it: a process with the eyes of the container (its root, its ids) and outside of its pid namespace and its cgroup,
 * so that nobody inside can name or stop it. It is no child of the plan, but of the executor, and ends with the last process under the filter.
 */

import { buffer, type Slot, slot, strings, text } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  chroot,
  close,
  F_SETFD,
  fchdir,
  fcntl,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  openat,
  write,
} from '../linux/files.ts'
import { memfdCreate, sealAll } from '../linux/memory.ts'
import { CLONE_NEWUSER, CLONE_PARENT, clone3, setns } from '../linux/namespaces.ts'
import { execveat } from '../linux/process.ts'
import { RIGHTS_BYTES, RIGHTS_FD, RIGHTS_LENGTH, receiveDescriptor, sendDescriptor } from '../linux/sockets.ts'
import type { Process } from '../oci/process.ts'
import type { Host } from './host.ts'
import { becomeRoot } from './idmap.ts'
import { leaveGroups } from './namespaces.ts'
import type { Ref, Step } from './plan.ts'
import { planIdentity } from './process-identity.ts'
import { getListener, LISTENER } from './seccomp.ts'
import { CHILD_END, HOST_PROC, PARENT_END } from './slots.ts'
import { tell } from './turns.ts'

export interface DenialsRequest {
  /** native/denials.c, as a program. */
  readonly elf: Uint8Array
  /** The path of a fifo that somebody has open for reading; it gets the records of native/denials.c. */
  readonly fifo: string
}

/** Calls on files, of which those that will be denied are told. All that native/denials.c knows. */
export const WATCHED_CALLS: readonly string[] = (
  'open openat openat2 creat truncate execve execveat mkdir mkdirat mknod mknodat symlink symlinkat link linkat ' +
  'unlink unlinkat rmdir rename renameat renameat2'
).split(' ')

const NAME = 'coffer-denials'
const FIFO = slot('denials-fifo')
const PROGRAM = slot('denials-program')
const SHOWN = slot('shown')
const PLACE = slot('denials-root')
const USER = slot('denials-user')
const SEE: readonly Ref[] = ['seccomp_unotify(2)']

/** For the executor, before it makes the process. */
export function openDenials({ elf, fifo }: DenialsRequest): readonly Step[] {
  const why = 'tell what is denied'
  return [
    { call: openat(AT_FDCWD, fifo, O_WRONLY | O_NONBLOCK), why, see: ['fifo(7)'], into: FIFO },
    { call: memfdCreate(NAME), why, see: ['memfd_create(2)'], into: PROGRAM },
    { call: write(PROGRAM, elf, elf.length), why, see: SEE, check: { result: elf.length, errno: 'ENOSPC' } },
    { call: sealAll(PROGRAM), why: 'let nobody change it', see: ['memfd_create(2)'] },
  ]
}

/** For the process, as its user, before it loads the filter. */
export const showPlace = (hasUserNamespace: boolean): readonly Step[] => [
  ...show('/', O_PATH, 'show its root directory to the executor'),
  // Only the process itself may look at it here: it is not dumpable.
  ...(hasUserNamespace ? show('/proc/self/ns/user', O_RDONLY, 'show its user namespace to the executor') : []),
]

const show = (path: string, flags: number, why: string): readonly Step[] => [
  { call: openat(AT_FDCWD, path, flags), why, see: SEE, into: SHOWN },
  { call: sendDescriptor(CHILD_END, SHOWN, Uint8Array.of('p'.charCodeAt(0))), why, see: ['unix(7)'] },
  // The listener has to become the lowest free descriptor: seccomp.ts.
  { call: close(SHOWN), why: 'leave its number free', see: ['close(2)'] },
]

function see(into: Slot, why: string): Step {
  const rights = buffer(`${into.slot}-rights`, RIGHTS_BYTES)
  return {
    call: receiveDescriptor(PARENT_END, buffer('turn', 1), rights),
    why,
    see: ['unix(7)'],
    check: { in: rights, offset: 0, sizeBytes: 4, equals: RIGHTS_LENGTH, errno: 'ECONNRESET' },
    keep: [{ slot: into, in: rights, offset: RIGHTS_FD, sizeBytes: 4 }],
  }
}

export interface Watched {
  readonly process: Process
  readonly hasUserNamespace: boolean
  readonly canSetGroups: boolean | undefined
  /** The numbers of the watched calls that the filter lets pass: CompiledSeccomp. */
  readonly passed: readonly number[]
}

/** For the executor, while the process loads its filter. */
export function watchDenials(watched: Watched, host: Host): readonly Step[] {
  const { hasUserNamespace } = watched
  const used = [PLACE, ...(hasUserNamespace ? [USER] : []), LISTENER, FIFO, PROGRAM]
  return [
    see(PLACE, 'see the root directory of the process'),
    ...(hasUserNamespace ? [see(USER, 'see the user namespace of the process')] : []),
    ...getListener(host),
    {
      // It may outlive the plan, so the executor is its parent.
      call: clone3({ flags: CLONE_PARENT, pidfd: buffer('denials-pidfd', 4) }),
      why: 'have somebody who tells what is denied',
      see: ['clone(2)', ...SEE],
      child: planSupervisor(watched, host),
    },
    ...used.map((fd): Step => ({ call: close(fd), why: 'leave them to the supervisor', see: ['close(2)'] })),
    tell('executor', 'n', 'tell the process that somebody has its listener'),
  ]
}

const PTRACE = ['CAP_SYS_PTRACE']

/** The same user as the process: what access(2) answers it, open(2) answers that. */
function planSupervisor({ process, hasUserNamespace, canSetGroups, passed }: Watched, host: Host): readonly Step[] {
  const sees = { why: 'see the files that the process sees', see: ['chroot(2)'] }
  const capabilities = { bounding: PTRACE, effective: PTRACE, inheritable: PTRACE, permitted: PTRACE, ambient: PTRACE }
  // Its standard descriptors are the executor's and stay as they are, as those of a process with a terminal do.
  const own = { ...process, capabilities, noNewPrivileges: true, cwd: '/', terminal: true }
  const words = [NAME, text(LISTENER), text(FIFO), text(HOST_PROC), ...passed.map(String)]
  return [
    ...(hasUserNamespace ? enterUser : []),
    { call: fchdir(PLACE), ...sees },
    { call: chroot('.'), ...sees },
    ...planIdentity({ process: own, canSetGroups, hasFilter: false }, host),
    ...[LISTENER, FIFO, HOST_PROC].map(
      (fd): Step => ({ call: fcntl(fd, F_SETFD, 0), why: `pass it on to ${NAME}`, see: ['fcntl(2)'] }),
    ),
    { call: execveat(PROGRAM, '', strings(words), strings([]), AT_EMPTY_PATH), why: `run ${NAME}`, see: SEE },
  ]
}

const enterUser: readonly Step[] = [
  leaveGroups,
  {
    call: setns(USER, CLONE_NEWUSER),
    why: 'be a user of its user namespace',
    see: ['setns(2)', 'user_namespaces(7)'],
  },
  ...becomeRoot,
]
