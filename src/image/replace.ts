/**
 * Replaces a file that others may replace too: only if it is still the one that was read.
 *
 * A reader needs no lock, as the file changes by rename(2). A writer reads, decides, and runs this plan; `ESTALE` says that somebody else was
 * faster, and that it has to read again. The lock is held by the process of the plan alone, so nobody who dies keeps it.
 */

import { utf8 } from '../linux/bytes.ts'
import { buffer, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  close,
  flock,
  fsync,
  LOCK_EX,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  openat,
  renameat2,
  STATX_BASIC_STATS,
  STATX_CHANGED_NANOS,
  STATX_INODE,
  statx,
  unlinkat,
  write,
} from '../linux/files.ts'
import type { Plan, Step } from '../plan/plan.ts'

/** Which file it was: both change whenever the file is replaced. */
export interface Version {
  /** The low 32 bits. */
  readonly inode: number
  readonly changedNanos: number
}

export interface Replacement {
  /** Absolute. */
  readonly path: string
  readonly read: Version
  readonly text: string
}

export function planReplace({ path, read, text }: Replacement): Plan {
  const [lock, file] = [slot('lock'), slot('file')]
  const temporary = `${path}.new`
  const bytes = utf8(text)
  return {
    operation: `replace ${path}`,
    steps: [
      {
        call: openat(AT_FDCWD, `${path}.lock`, O_WRONLY | O_CREAT, 0o600),
        why: 'have a lock',
        see: ['flock(2)'],
        into: lock,
      },
      { call: flock(lock, LOCK_EX), why: `be the only one who replaces ${path}`, see: ['flock(2)'] },
      sameAs(path, STATX_INODE, read.inode),
      sameAs(path, STATX_CHANGED_NANOS, read.changedNanos),
      {
        call: unlinkat(AT_FDCWD, temporary),
        why: 'take away what a killed writer left',
        see: ['unlink(2)'],
        tolerate: ['ENOENT'],
      },
      {
        call: openat(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_EXCL, 0o644),
        why: `write the new ${path} beside the old one`,
        see: ['rename(2)'],
        into: file,
        undo: [{ call: unlinkat(AT_FDCWD, temporary), why: 'take it away again', see: ['unlink(2)'] }],
      },
      {
        call: write(file, bytes, bytes.length),
        why: `write the new ${path}`,
        see: ['write(2)'],
        check: { result: bytes.length, errno: 'ENOSPC' },
      },
      { call: fsync(file), why: 'have it on disk before it has its name', see: ['fsync(2)'] },
      { call: close(file), why: 'be done with it', see: ['close(2)'] },
      { call: renameat2(temporary, path), why: `put it in the place of ${path}`, see: ['rename(2)'] },
    ],
  }
}

function sameAs(path: string, offset: number, equals: number): Step {
  const status = buffer('status', 256)
  return {
    call: statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, status),
    why: `see that ${path} is the one that was read`,
    see: ['statx(2)'],
    check: { in: status, offset, sizeBytes: 4, equals, errno: 'ESTALE' },
  }
}
