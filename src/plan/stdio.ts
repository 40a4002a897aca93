/**
 * Standard input, output and error of a process that a program watches: fifos that the watcher reads, or bytes.
 *
 * The executor opens them while it sees the host's files; the process moves them to 0, 1 and 2. fifo(7), memfd_create(2)
 *
 * Behind that there are new fifos at their paths: a process can open what it was given once more, to read or by O_PATH, and leave it to others
 * that outlive it. They would have the next command's as well (SECURITY-CHECKS S13).
 */

import { type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  close,
  dup3,
  F_SETPIPE_SZ,
  fcntl,
  lseek,
  mknodat,
  O_RDONLY,
  O_WRONLY,
  openat,
  renameat2,
  S_IFIFO,
  write,
} from '../linux/files.ts'
import { memfdCreate } from '../linux/memory.ts'
import type { Ref, Step } from './plan.ts'

export interface Stdio {
  /** The bytes to read, or the path of a fifo that somebody has open for writing; nothing to read if undefined. */
  readonly stdin?: Uint8Array | string | undefined
  /** Paths of fifos that somebody has open for reading. */
  readonly stdout: string
  readonly stderr: string
}

export interface StdioPlan {
  /** For the executor, before it makes the process. */
  readonly open: readonly Step[]
  /** For the process, before it closes what it does not pass on. */
  readonly take: readonly Step[]
  /** For the executor, behind it and before the program: the reader shall see the end of the process, not of the executor. */
  readonly leave: readonly Step[]
}

const STDIN = slot('stdin')
const STDOUT = slot('stdout')
const STDERR = slot('stderr')
const SEE: readonly Ref[] = ['fifo(7)']
/**
 * What fits into standard output before its program waits, four times the usual. The program is in a scheduling group of its own, so where CPUs
 * are contended each change between it and the reader costs both: 64 MiB took 115 ms with the usual size, 80 ms with this one or twice as much.
 */
const OUTPUT_BYTES = 256 * 1024
const NONE: StdioPlan = { open: [], take: [], leave: [] }

/** What the executor has as 0, 1 and 2 if nothing is asked for. */
export function planStdio(stdio: Stdio | undefined): StdioPlan {
  if (stdio === undefined) return NONE
  const { stdin, stdout, stderr } = stdio
  const why = 'let it be heard by its watcher'
  const outputs: readonly Step[] = [
    { call: openat(AT_FDCWD, stdout, O_WRONLY), why, see: SEE, into: STDOUT },
    {
      call: fcntl(STDOUT, F_SETPIPE_SZ, OUTPUT_BYTES),
      why: 'have it wait less often for its watcher',
      see: ['F_SETPIPE_SZ(2const)', 'sched(7)'],
      // EPERM: the user has as many large pipes as one may. EBADF: what was given is no fifo.
      tolerate: ['EPERM', 'EBADF'],
    },
    { call: openat(AT_FDCWD, stderr, O_WRONLY), why, see: SEE, into: STDERR },
  ]
  const paths = [...(typeof stdin === 'string' ? [stdin] : []), stdout, stderr]
  const used = [...(stdin === undefined ? [] : [STDIN]), STDOUT, STDERR]
  const first = 3 - used.length
  return {
    open: [...openStdin(stdin), ...outputs],
    take: used.map((fd, index) => ({
      call: dup3(fd, first + index),
      why: `have its watcher at descriptor ${first + index}`,
      see: ['dup(2)'],
    })),
    leave: [
      ...used.map((fd) => ({ call: close(fd), why: 'leave them to the process', see: ['close(2)'] })),
      ...paths.flatMap(renew),
    ],
  }
}

function renew(path: string): readonly Step[] {
  const next = `${path}.next`
  const why = 'have the next command heard through what this one has not got'
  return [
    {
      call: mknodat(AT_FDCWD, next, S_IFIFO | 0o600, 0),
      why,
      see: SEE,
      // By a plan that was killed here.
      tolerate: ['EEXIST'],
    },
    { call: renameat2(next, path), why, see: ['rename(2)'] },
  ]
}

function openStdin(stdin: Uint8Array | string | undefined): readonly Step[] {
  if (stdin === undefined) return []
  const why = 'give it something to read'
  if (typeof stdin === 'string') return [{ call: openat(AT_FDCWD, stdin, O_RDONLY), why, see: SEE, into: STDIN }]
  const see: readonly Ref[] = ['memfd_create(2)']
  return [
    { call: memfdCreate('stdin'), why, see, into: STDIN },
    ...(stdin.length === 0 ? [] : [writeAll(STDIN, stdin, why)]),
    { call: lseek(STDIN, 0), why: 'have it read from the start', see: ['lseek(2)'] },
  ]
}

const writeAll = (fd: Slot, bytes: Uint8Array, why: string): Step => ({
  call: write(fd, bytes, bytes.length),
  why,
  see: ['write(2)'],
  check: { result: bytes.length, errno: 'ENOSPC' },
})
