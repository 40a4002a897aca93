/**
 * A process of coffer beside a container, for its network: it outlives the plan that starts it, and a lock on a file says that it lives, and
 * which process it is. fcntl(2), engine/beside.ts
 *
 * Until it is its program it ends with the executor. It has nothing of the caller but what it is handed.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  close,
  closeRange,
  dup3,
  F_SETFD,
  fcntl,
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
  P_PIDFD,
  PR_SET_PDEATHSIG,
  prctl,
  SI_PID,
  SIGINFO_BYTES,
  setsid,
  WEXITED,
  WNOHANG,
  waitid,
} from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import { compileSeccomp } from '../seccomp/compile.ts'
import type { Ref, Step } from './plan.ts'

const SIGKILL = signalNumber('SIGKILL')

export interface Beside {
  /** What it is, with its article. */
  readonly name: string
  /** What it makes and gives away; whatever of it can fail. */
  readonly prepare: readonly Step[]
  /** The last steps, with which it becomes the program. */
  readonly become: readonly Step[]
}

/** With HOSTS and NAMESPACE open, in the network of this machine. */
export function planBeside({ name, prepare, become }: Beside): readonly Step[] {
  const key = name.replace(/^\w+ /, '').replace(/ /g, '-')
  const [pidfd, exit, pipe] = [
    buffer(`${key}-pidfd`, 4),
    buffer(`${key}-exit`, SIGINFO_BYTES),
    buffer(`${key}-pipe`, 8),
  ]
  const [process, ready, other] = [slot(`${key}-pidfd`), slot(`${key}-ready`), slot(`${key}-other-end`)]
  const why = `have ${name} beside the container`
  const the = name.replace(/^an? /, 'the ')
  return [
    {
      call: pipe2(pipe),
      why,
      see: ['pipe(2)'],
      keep: [
        { slot: ready, in: pipe, offset: 0, sizeBytes: 4 },
        { slot: other, in: pipe, offset: 4, sizeBytes: 4 },
      ],
    },
    {
      call: clone3({ flags: 0, pidfd }),
      why,
      see: ['clone(2)'],
      keep: [{ slot: process, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [...withExecutor(ready, other), ...prepare, ...withoutExecutor(other), ...become],
    },
    { call: close(other), why, see: ['close(2)'] },
    // A byte when it begins, and one when it is ready. Who ends before closes the pipe some time before it can be waited for.
    ...[`see ${the} begin`, `see ${the} ready`].map(
      (why): Step => ({
        call: read(ready, buffer(`${key}-turn`, 1)),
        why,
        see: ['pipe(7)'],
        check: { result: 1, errno: 'ECHILD' },
      }),
    ),
    {
      call: read(ready, buffer(`${key}-turn`, 1)),
      why: `see ${the} take over`,
      see: ['execve(2)'],
      check: { result: 0, errno: 'EPROTO' },
    },
    {
      call: waitid(P_PIDFD, process, exit, WEXITED | WNOHANG),
      why,
      see: ['waitid(2)'],
      check: { in: exit, offset: SI_PID, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
    },
  ]
}

/** Until it is the program, whose lock everybody sees, it ends with the executor; which has to be there still to read a byte. */
const withExecutor = (ready: Slot, other: Slot): readonly Step[] => [
  { call: close(ready), why: 'leave the end to the executor', see: ['pipe(2)'] },
  { call: prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), why: 'end with the executor', see: ['PR_SET_PDEATHSIG(2const)'] },
  { call: write(other, 'b', 1), why: 'know that the executor lives', see: ['pipe(7)'] },
  { call: setsid(), why: 'leave the session of the caller', see: ['setsid(2)'] },
]

const withoutExecutor = (other: Slot): readonly Step[] => [
  { call: write(other, 'r', 1), why: 'have the executor know that it is ready', see: ['pipe(7)'] },
  { call: prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0), why: 'outlive the executor', see: ['PR_SET_PDEATHSIG(2const)'] },
]

export const toNetwork = (namespace: Slot, why: string): readonly Step[] => [
  { call: setns(namespace, CLONE_NEWNET), why, see: ['setns(2)'] },
]

const NOTHING = slot('nothing')

export const readNothing = (see: readonly Ref[]): readonly Step[] => [
  { call: openat(AT_FDCWD, '/dev/null', O_RDWR), why: 'read and write nothing', see, into: NOTHING },
  ...[0, 1, 2].map((fd): Step => ({ call: dup3(NOTHING, fd), why: 'read and write nothing', see: ['dup(2)'] })),
]

export const handNothingElseOver: Step = {
  call: closeRange(3, LAST_FD, CLOSE_RANGE_CLOEXEC),
  why: 'hand nothing else over',
  see: ['close_range(2)'],
}

/** A lock of fcntl(2) goes with the first descriptor of the file that is closed: there is one, and the program keeps it. */
export const holdLock = (path: string, why: string): readonly Step[] => [
  { call: openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0o600), why, see: ['fcntl(2)'], into: LOCK },
  { call: fcntl(LOCK, F_SETFD, 0), why: 'hand the lock over', see: ['fcntl(2)'] },
  { call: lockRecord(LOCK), why: 'be the only one of the container', see: ['fcntl(2)'] },
]

const LOCK = slot('own-lock')

type Rule = Seccomp['syscalls'][number]

/** A call for which these bits of an argument are not set. */
export const allowMasked = (name: string, index: number, value: number): Rule => ({
  names: [name],
  action: 'SCMP_ACT_ALLOW',
  args: [{ index, value, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
})

/** By architecture: all but these calls fail with EPERM. */
export function besideFilters(
  place: string,
  syscalls: readonly Rule[],
): Readonly<Record<'x86_64' | 'aarch64', Uint8Array>> {
  const profile: Seccomp = { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], flags: [], syscalls }
  const filterOf = (nativeArchitecture: 'SCMP_ARCH_X86_64' | 'SCMP_ARCH_AARCH64'): Uint8Array =>
    compileSeccomp(profile, { nativeArchitecture, place }).filter
  return { x86_64: filterOf('SCMP_ARCH_X86_64'), aarch64: filterOf('SCMP_ARCH_AARCH64') }
}
