/**
 * A container whose caller watches it: it ends with its program, when its time is over, when the caller says so, or when the caller is gone.
 *
 * The caller holds a fifo open for writing, `control`. A byte in it, and its end, both wake the executor, which kills the container. So
 * neither a caller that is busy nor one that was killed lets a container run on. fifo(7), ppoll(2)
 */

import { utf8 } from '../linux/bytes.ts'
import { type Buffer, buffer, type Slot, slot } from '../linux/call.ts'
import { monotonicTime, TIMESPEC_BYTES } from '../linux/clock.ts'
import {
  AT_FDCWD,
  close,
  flock,
  fstatfs,
  LOCK_SH,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openat,
  read,
  write,
} from '../linux/files.ts'
import { ppollAny } from '../linux/poll.ts'
import {
  P_PIDFD,
  pidfdSendGroupSignal,
  pidfdSendSignal,
  RUSAGE_BYTES,
  SI_PID,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  waitidUsage,
} from '../linux/process.ts'
import { RIGHTS_BYTES, RIGHTS_FD, RIGHTS_LENGTH, receiveDescriptor, sendDescriptor } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'
import { CHILD_END, INIT_PIDFD, PARENT_END } from './slots.ts'
import { INIT_EXIT } from './stage.ts'

export interface Supervised {
  /** The path of the fifo. */
  readonly control: string
  /** From the start of the program. */
  readonly deadlineMs?: number | undefined
  /** Absolute paths of files of its cgroups, read when all its processes are gone; one that the kernel has not is empty. */
  readonly accounts: readonly string[]
  /**
   * The path of another fifo that the caller holds open for writing. With it the ended process stays as it is, and its pid is used by no other,
   * until a byte comes: the caller hears of the end by a report, and may have to do with the pid until then.
   */
  readonly release?: string | undefined
  /** A descriptor of init on a file system that is gone with it: how full it was at the end comes back in FILE_SYSTEM. */
  readonly measures?: Slot | undefined
  /** A directory that others may change only if nobody holds it: locked, together with whoever holds it too, until the container is gone. */
  readonly holds?: string | undefined
  /** freezer.state of cgroup v1, in which a process that is frozen does not die. */
  readonly freezer?: string | undefined
}

/** 0 if the time was over; else the program or the caller ended it. */
export const WATCHED: Slot = slot('watched')
/** struct rusage of init and of those that it waited for. */
export const USAGE: Buffer = buffer('usage', RUSAGE_BYTES)

/** struct timespec: between them the program ran. */
export const STARTED: Buffer = buffer('started', TIMESPEC_BYTES)
export const ENDED: Buffer = buffer('ended', TIMESPEC_BYTES)
/** What planWatch and watchGroup fill in, beside the slot WATCHED; with a `release`, without the times. */
export const WATCH_READS: readonly Buffer[] = [INIT_EXIT, USAGE, STARTED, ENDED]

/** struct statfs: f_bsize at 8, f_bfree at 24; 8 bytes each. statfs(2) */
export const FILE_SYSTEM: Buffer = buffer('file-system', 120)

const CONTROL = slot('control')
const RELEASE = slot('release')
const MEASURED = slot('measured')
const SEE: readonly Ref[] = ['fifo(7)', 'ppoll(2)']
const SIGKILL = 9

/** For the executor, before it makes anything. */
export function openControl({
  control,
  release,
  holds,
}: Pick<Supervised, 'control' | 'release' | 'holds'>): readonly Step[] {
  const why = 'hear from the caller'
  return [
    { call: openat(AT_FDCWD, control, O_RDONLY | O_NONBLOCK), why, see: SEE, into: CONTROL },
    {
      // EAGAIN: a caller is there and has said nothing. 0 is a caller that is gone, 1 one that does not want it any more.
      call: read(CONTROL, buffer('control', 1)),
      why: 'be sure that its caller still wants it',
      see: SEE,
      check: { resultAtLeast: 2, errno: 'ECANCELED' },
      tolerate: ['EAGAIN'],
    },
    ...(release === undefined
      ? []
      : [{ call: openat(AT_FDCWD, release, O_RDONLY | O_NONBLOCK), why, see: SEE, into: RELEASE }]),
    ...(holds === undefined ? [] : hold(holds)),
  ]
}

const HELD = slot('held')

const hold = (path: string): readonly Step[] => {
  const at = { why: `have nothing taken away that ${path} leads to`, see: ['flock(2)'] }
  return [
    { call: openat(AT_FDCWD, path, O_RDONLY), ...at, into: HELD },
    { call: flock(HELD, LOCK_SH), ...at },
  ]
}

const lookAtClock = (into: Buffer): Step => ({
  call: monotonicTime(into),
  why: 'know how long it runs',
  see: ['clock_gettime(2)'],
})

/** Behind the start of the program: waits for its end or brings it about. Sets WATCHED and WATCH_READS. */
export function planWatch({ deadlineMs, freezer, release }: Wait, id: string): readonly Step[] {
  const wait: Step = {
    call: ppollAny([INIT_PIDFD, CONTROL], deadlineMs),
    why: `wait until ${id} ends or shall end`,
    see: SEE,
    into: WATCHED,
  }
  if (release !== undefined) return [wait, ...endSlowly(freezer, id)]
  return [
    lookAtClock(STARTED),
    wait,
    {
      call: waitidUsage(P_PIDFD, INIT_PIDFD, INIT_EXIT, USAGE, WEXITED + WNOHANG),
      why: `see whether ${id} has ended`,
      see: ['waitid(2)'],
      check: { in: INIT_EXIT, offset: SI_PID, sizeBytes: 4, differs: 0, errno: 'ETIME' },
      tolerate: ['ETIME'],
      otherwise: [...kill(freezer, id), reap(WEXITED, id)],
    },
    lookAtClock(ENDED),
  ]
}

/**
 * The same for a process that leads a session which nobody can leave: all of that ends with it. It is waited for last, so that its number, by
 * which the others are found, is nobody else's.
 */
export const watchGroup = ({ deadlineMs }: Pick<Supervised, 'deadlineMs'>, id: string): readonly Step[] => [
  lookAtClock(STARTED),
  {
    call: ppollAny([INIT_PIDFD, CONTROL], deadlineMs),
    why: `wait until ${id} ends or shall end`,
    see: SEE,
    into: WATCHED,
  },
  ...kill(undefined, id),
  reap(WEXITED, id),
  lookAtClock(ENDED),
]

type Wait = Pick<Supervised, 'deadlineMs' | 'freezer' | 'release'>

const kill = (freezer: string | undefined, id: string): readonly Step[] => [
  {
    call: pidfdSendGroupSignal(INIT_PIDFD, SIGKILL),
    why: `kill all of the session of ${id}`,
    see: ['pidfd_send_signal(2)'],
    // EINVAL: before Linux 6.9.
    tolerate: ['ESRCH', 'EINVAL'],
  },
  {
    call: pidfdSendSignal(INIT_PIDFD, SIGKILL),
    why: `kill ${id}`,
    see: ['pidfd_send_signal(2)'],
    // It has ended by itself.
    tolerate: ['ESRCH'],
  },
  ...(freezer === undefined ? [] : thaw(freezer, id)),
]

const reap = (options: number, id: string): Step => ({
  call: waitidUsage(P_PIDFD, INIT_PIDFD, INIT_EXIT, USAGE, options),
  why: `wait until ${id} is gone`,
  see: ['waitid(2)'],
})

const endSlowly = (freezer: string | undefined, id: string): readonly Step[] => [
  ...kill(freezer, id),
  reap(WEXITED + WNOWAIT, id),
  { call: { name: 'report', args: [] }, why: `tell that ${id} has ended`, see: [] },
  { call: ppollAny([RELEASE]), why: 'leave its pid alone until the caller is done with it', see: SEE },
  // The fifo is used again, and maybe at once.
  { call: read(RELEASE, buffer('release', 1)), why: 'leave nothing in the fifo', see: SEE },
  reap(WEXITED, id),
]

const FREEZER = slot('freezer.state')

const thaw = (path: string, id: string): readonly Step[] => {
  const at = { why: `let ${id} die, should it be frozen`, see: ['kernel:admin-guide/cgroup-v1/freezer-subsystem.rst'] }
  return [
    { call: openat(AT_FDCWD, path, O_WRONLY), ...at, into: FREEZER },
    { call: write(FREEZER, 'THAWED', 6), ...at },
  ]
}

const WHY_MEASURE = 'know how full its file system is in the end'
const SEE_MEASURE: readonly Ref[] = ['unix(7)', 'statfs(2)']

/** For init, while it has the descriptor. */
export const showFileSystem = (fd: Slot): Step => ({
  call: sendDescriptor(CHILD_END, fd, utf8('f')),
  why: WHY_MEASURE,
  see: SEE_MEASURE,
})

/** For the executor, before it hears that init is ready. */
export function seeFileSystem(): Step {
  const rights = buffer('file-system-rights', RIGHTS_BYTES)
  return {
    call: receiveDescriptor(PARENT_END, buffer('turn', 1), rights),
    why: WHY_MEASURE,
    see: SEE_MEASURE,
    check: { in: rights, offset: 0, sizeBytes: 4, equals: RIGHTS_LENGTH, errno: 'ECONNRESET' },
    keep: [{ slot: MEASURED, in: rights, offset: RIGHTS_FD, sizeBytes: 4 }],
  }
}

const ACCOUNT_BYTES = 4096

/** What a file of a cgroup says, by its path: what the report brings back of it. */
const accountOf = (path: string): Buffer => buffer(`account:${path}`, ACCOUNT_BYTES)

/** Whether it is the text of a file of a cgroup; its name ends with the path. */
export const isAccount = ({ buffer: name }: Buffer): boolean => name.startsWith('account:')

/** When the processes are gone, and before the cgroups are. */
export function planAccounts({ accounts, measures }: Supervised, id: string): readonly Step[] {
  const file = slot('account')
  const reads = accounts.flatMap((path): readonly Step[] => {
    const at = { why: `know what ${id} has used`, see: ['cgroups(7)'] }
    return [
      {
        call: openat(AT_FDCWD, path, O_RDONLY),
        ...at,
        into: file,
        tolerate: ['ENOENT'],
        then: [
          { call: read(file, accountOf(path)), ...at },
          { call: close(file), ...at },
        ],
      },
    ]
  })
  if (measures === undefined) return reads
  return [...reads, { call: fstatfs(MEASURED, FILE_SYSTEM), why: WHY_MEASURE, see: SEE_MEASURE }]
}

export const accountsIn = ({ accounts, measures }: Supervised): readonly Buffer[] => [
  ...accounts.map(accountOf),
  ...(measures === undefined ? [] : [FILE_SYSTEM]),
]
