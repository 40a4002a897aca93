/** Files and descriptors of the front program: what it keeps open, writes and removes. Reading is observe/files-embedded.ts. */

import { bug } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { type Errno, errnoNumber } from '../linux/errno.ts'
import { AT_FDCWD, AT_REMOVEDIR, LOCK_EX, O_CLOEXEC, O_CREAT, O_EXCL, O_WRONLY } from '../linux/files.ts'
import { attempt, failure, must, mustUnless } from './embedded-call.ts'
import { POLLOUT, poll } from './embedded-events.ts'

/** Opens with close-on-exec. */
export const open = (native: Native, path: string, flags: number, mode = 0): number =>
  must(native, `open ${path}`, 'openat', AT_FDCWD, path, flags | O_CLOEXEC, mode)

/** As `open`; undefined if there is no such file. */
export const openIfThere = (native: Native, path: string, flags: number): number | undefined =>
  mustUnless(
    { native, operation: `open ${path}`, expected: ['ENOENT'] },
    'openat',
    AT_FDCWD,
    path,
    flags | O_CLOEXEC,
    0,
  )

export function close(native: Native, fd: number): void {
  must(native, `close descriptor ${fd}`, 'close', fd)
}

/** Reads once; answers how many bytes came, 0 at the end. Throws `exhausted` if `fd` does not block and has nothing. */
export const read = (native: Native, fd: number, into: Uint8Array): number =>
  must(native, `read descriptor ${fd}`, 'read', fd, into, into.length)

/** As `read`, but answers undefined if `fd` does not block and has nothing. */
export const readIfReady = (native: Native, fd: number, into: Uint8Array): number | undefined =>
  mustUnless({ native, operation: `read descriptor ${fd}`, expected: ['EAGAIN'] }, 'read', fd, into, into.length)

/** Writes once; answers how many bytes were taken, or undefined if `fd` does not block and takes none now. */
export const writeIfReady = (native: Native, fd: number, bytes: Uint8Array): number | undefined =>
  mustUnless({ native, operation: `write to descriptor ${fd}`, expected: ['EAGAIN'] }, 'write', fd, bytes, bytes.length)

/** All of them, also where others made `fd` one that does not block, as programs in node do with a pipe that they share. */
export function writeAll(native: Native, fd: number, bytes: Uint8Array): void {
  writeAllUnless(native, fd, bytes, [])
}

/** As `writeAll`, but answers false for one of the `expected` errnos. */
export function writeAllUnless(native: Native, fd: number, bytes: Uint8Array, expected: readonly Errno[]): boolean {
  for (let at = 0; at < bytes.length; ) {
    const rest = at === 0 ? bytes : bytes.subarray(at)
    const written = attempt(native, 'write', fd, rest, rest.length)
    if (written >= 0) at += written
    else if (written === -errnoNumber('EAGAIN')) poll(native, [{ fd, events: POLLOUT }])
    else if (expected.some((errno) => written === -errnoNumber(errno))) return false
    else if (written !== -errnoNumber('EINTR')) throw failure(`write to descriptor ${fd}`, 'write', written)
  }
  return true
}

export const writeText = (native: Native, fd: number, text: string): void => writeAll(native, fd, native.encode(text))

const MFD_CLOEXEC = 1

/** An anonymous file with these bytes, whose offset is at its start. `name` shows in /proc/PID/fd. memfd_create(2) */
export function memoryFile(native: Native, name: string, bytes: Uint8Array): number {
  const operation = `make the anonymous file ${name}`
  const fd = must(native, operation, 'memfd_create', name, MFD_CLOEXEC)
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at)
    at += must(native, operation, 'pwrite64', fd, rest, rest.length, at)
  }
  return fd
}

export interface Pipe {
  readonly readEnd: number
  readonly writeEnd: number
}

/** A pipe with close-on-exec; `flags` adds O_NONBLOCK and the like. pipe2(2) */
export function pipe(native: Native, flags = 0): Pipe {
  const ends = new Int32Array(2)
  must(native, 'make a pipe', 'pipe2', ends, flags | O_CLOEXEC)
  const [readEnd, writeEnd] = ends
  if (readEnd === undefined || writeEnd === undefined) throw bug('a pipe has two ends')
  return { readEnd, writeEnd }
}

const LOCK_NB = 4

/** Waits until this process alone holds the lock of the open file; it ends with the last copy of the descriptor. flock(2) */
export function lock(native: Native, fd: number): void {
  must(native, `lock descriptor ${fd}`, 'flock', fd, LOCK_EX)
}

/** Takes the lock if nobody has it; answers whether it did. */
export const tryLock = (native: Native, fd: number): boolean =>
  mustUnless({ native, operation: `lock descriptor ${fd}`, expected: ['EAGAIN'] }, 'flock', fd, LOCK_EX | LOCK_NB) !==
  undefined

/** Answers whether it made the directory; false if there is one, or anything else, already. */
export const makeDirectory = (native: Native, path: string, mode: number): boolean =>
  mustUnless(
    { native, operation: `make the directory ${path}`, expected: ['EEXIST'] },
    'mkdirat',
    AT_FDCWD,
    path,
    mode,
  ) !== undefined

/** Makes a directory and those above it that are not there. */
export function makeDirectories(native: Native, path: string, mode: number): void {
  const made = mustUnless(
    { native, operation: `make the directory ${path}`, expected: ['EEXIST', 'ENOENT'] },
    'mkdirat',
    AT_FDCWD,
    path,
    mode,
  )
  if (made !== undefined) return
  // Either it is there, or what is above it is not; the first `/` of an absolute path has nothing above.
  for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1)) {
    makeDirectory(native, path.slice(0, slash), mode)
  }
  makeDirectory(native, path, mode)
}

/** Makes the file with this content; throws `conflict` if it is there. */
export function writeNewFile(native: Native, path: string, text: string, mode: number): void {
  const fd = open(native, path, O_WRONLY | O_CREAT | O_EXCL, mode)
  try {
    writeText(native, fd, text)
  } finally {
    close(native, fd)
  }
}

/** Writes to a file that is there, in one call, as the files of cgroups and of procfs want it. */
export function writeExisting(native: Native, path: string, text: string): void {
  const operation = `write ${text.trimEnd()} to ${path}`
  const fd = must(native, operation, 'openat', AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0)
  try {
    const bytes = native.encode(text)
    must(native, operation, 'write', fd, bytes, bytes.length)
  } finally {
    close(native, fd)
  }
}

/**
 * Puts a file with this content in the place of `path`: whoever reads it sees the old one or the new one, whole.
 *
 * `temporary` is a path in the same directory that nobody else uses.
 */
export function replaceFile(
  native: Native,
  { path, temporary, text, mode }: { path: string; temporary: string; text: string; mode: number },
): void {
  remove(native, temporary)
  writeNewFile(native, temporary, text, mode)
  rename(native, temporary, path)
}

export function rename(native: Native, from: string, to: string): void {
  must(native, `rename ${from} to ${to}`, 'renameat2', AT_FDCWD, from, AT_FDCWD, to, 0)
}

/** Removes a file; answers whether it was there. */
export const remove = (native: Native, path: string): boolean =>
  mustUnless({ native, operation: `remove ${path}`, expected: ['ENOENT'] }, 'unlinkat', AT_FDCWD, path, 0) !== undefined

/** Removes an empty directory; answers whether it was there. Throws `conflict` if something is in it, or uses it. */
export const removeDirectory = (native: Native, path: string): boolean =>
  mustUnless(
    { native, operation: `remove ${path}`, expected: ['ENOENT'] },
    'unlinkat',
    AT_FDCWD,
    path,
    AT_REMOVEDIR,
  ) !== undefined
