/**
 * Files over the system calls of the embedded engine.
 *
 * Every container start runs through here, so a text costs four calls and one buffer: openat, read, read (which finds the end), close.
 */

import { bug, OperationError } from '../base/errors.ts'
import type { FileKind, FileStatus, Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { errnoName } from '../linux/errno.ts'
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY, S_IFMT, STATX_BASIC_STATS } from '../linux/files.ts'
import { type Architecture, callNumber } from '../linux/numbers.ts'
import { systemError } from '../linux/system-error.ts'
import { kindOfMode, MAX_FILE_BYTES } from './files.ts'

/** What all calls share; `bytes` is replaced by a larger one when a file does not fit. */
interface Reader {
  readonly native: Native
  readonly openat: number
  readonly read: number
  readonly close: number
  readonly getdents64: number
  readonly readlinkat: number
  readonly statx: number
  readonly openDirectory: number
  bytes: Uint8Array
}

const FIRST_BYTES = 16_384
const STATX_BYTES = 256
const EINTR = 4
const EINVAL = 22

export function embeddedFiles(native: Native, architecture: Architecture = native.architecture): Files {
  const number = (name: string): number => {
    const found = callNumber(name, architecture)
    if (found === undefined) throw bug(`the table of system calls has no ${name}`)
    return found
  }
  const reader: Reader = {
    native,
    openat: number('openat'),
    read: number('read'),
    close: number('close'),
    getdents64: number('getdents64'),
    readlinkat: number('readlinkat'),
    statx: number('statx'),
    openDirectory: O_RDONLY | O_CLOEXEC | O_DIRECTORY[architecture],
    bytes: new Uint8Array(FIRST_BYTES),
  }
  return {
    readText: (path, limitBytes = MAX_FILE_BYTES + 1) => {
      const length = readAll(reader, path, limitBytes)
      return length === undefined ? undefined : native.decode(reader.bytes, 0, Math.min(length, limitBytes))
    },
    readBytes: (path) => {
      const length = readAll(reader, path)
      return length === undefined ? undefined : reader.bytes.slice(0, length)
    },
    list: (path) => list(reader, path),
    readLink: (path) => readLink(reader, path),
    status: (path) => status(reader, path),
  }
}

/** Reads a file into `reader.bytes`, to its end or until there is as much as is wanted, and answers how much that is. */
function readAll(reader: Reader, path: string, wantedBytes = MAX_FILE_BYTES + 1): number | undefined {
  const { native, read, close } = reader
  const fd = native.syscall(reader.openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)
  if (fd < 0) return absent({ operation: `read ${path}`, syscall: 'openat', result: fd, path })
  let length = 0
  let result = 0
  do {
    if (length === reader.bytes.length) reader.bytes = enlarged(reader.bytes)
    const free = length === 0 ? reader.bytes : reader.bytes.subarray(length)
    result = native.syscall(read, fd, free, free.length)
    if (result > 0) length += result
  } while ((result > 0 && length < wantedBytes) || result === -EINTR)
  native.syscall(close, fd)
  if (result < 0) return absent({ operation: `read ${path}`, syscall: 'read', result, path })
  if (length > MAX_FILE_BYTES) throw tooLong(path)
  return length
}

function enlarged(bytes: Uint8Array): Uint8Array {
  const larger = new Uint8Array(bytes.length * 4)
  larger.set(bytes)
  return larger
}

/** struct linux_dirent64: d_reclen at 16 (2 bytes), d_name at 19, NUL-terminated; records are padded to 8 bytes. getdents64(2) */
function list(reader: Reader, path: string): readonly string[] | undefined {
  const { native, bytes } = reader
  const operation = `list ${path}`
  const fd = native.syscall(reader.openat, AT_FDCWD, path, reader.openDirectory, 0)
  if (fd < 0) return absent({ operation, syscall: 'openat', result: fd, path })
  const names: string[] = []
  let filled = 0
  do {
    filled = native.syscall(reader.getdents64, fd, bytes, bytes.length)
    for (let at = 0; at < filled; ) {
      const recordBytes = (bytes[at + 16] ?? 0) | ((bytes[at + 17] ?? 0) << 8)
      const name = nameIn(reader, at + 19, at + recordBytes)
      if (name !== '.' && name !== '..') names.push(name)
      at += recordBytes
    }
  } while (filled > 0 || filled === -EINTR)
  native.syscall(reader.close, fd)
  return filled < 0 ? absent({ operation, syscall: 'getdents64', result: filled, path }) : names
}

/** The kernel leaves what follows the NUL as it was, so the first NUL of the last 8 bytes ends the name. */
function nameIn({ native, bytes }: Reader, start: number, end: number): string {
  let stop = Math.max(start, end - 8)
  while (stop < end && bytes[stop] !== 0) stop++
  return native.decode(bytes, start, stop - start)
}

function readLink({ native, readlinkat, bytes }: Reader, path: string): string | undefined {
  const result = native.syscall(readlinkat, AT_FDCWD, path, bytes, bytes.length)
  // readlink(2): what is there is no symbolic link.
  if (result === -EINVAL) return undefined
  if (result < 0) return absent({ operation: `read the link ${path}`, syscall: 'readlinkat', result, path })
  return native.decode(bytes, 0, result)
}

/**
 * struct statx: stx_nlink at 16, stx_uid 20, stx_gid 24, stx_mode 28 (2 bytes), stx_ino 32 (8), stx_size 40 (8), stx_rdev_major 128, stx_rdev_minor 132,
 * stx_dev_major 136, stx_dev_minor 140; the others 4 bytes. statx(2)
 */
function status({ native, statx, bytes }: Reader, path: string): FileStatus | undefined {
  const result = native.syscall(statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, bytes)
  if (result < 0) return absent({ operation: `look at ${path}`, syscall: 'statx', result, path })
  const view = new DataView(bytes.buffer, 0, STATX_BYTES)
  const word = (offset: number): number => view.getUint32(offset, true)
  const mode = view.getUint16(28, true)
  return {
    kind: kindIn(mode, path),
    mode: mode & ~S_IFMT,
    uid: word(20),
    gid: word(24),
    links: word(16),
    sizeBytes: word(44) * 0x1_0000_0000 + word(40),
    device: { major: word(128), minor: word(132) },
    identity: `${word(136)}:${word(140)}:${inode(word(36), word(32))}`,
  }
}

/** Some file systems use all 64 bits of an inode number. */
const inode = (high: number, low: number): string =>
  high < 0x20_0000 ? String(high * 0x1_0000_0000 + low) : String((BigInt(high) << 32n) | BigInt(low))

function kindIn(mode: number, path: string): FileKind {
  const kind = kindOfMode(mode)
  if (kind === undefined) throw bug(`${path} is of a type that statx(2) does not know: ${mode}`)
  return kind
}

interface Failure {
  readonly operation: string
  readonly syscall: string
  /** `-errno` */
  readonly result: number
  readonly path: string
}

/** Answers undefined for what is not there; throws whatever else went wrong. */
function absent({ operation, syscall, result, path }: Failure): undefined {
  if (GONE.includes(-result)) return undefined
  throw systemError({ operation, syscall, code: errnoName(-result), path })
}

/** The numbers of ENOENT, ESRCH, ENODEV and ENOTDIR, of which `isGone` knows the names: taking the table of names apart costs more than a read. */
const GONE: readonly number[] = [2, 3, 19, 20]

const tooLong = (path: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `read ${path}`, reason: 'it has more than 64 MiB', path })
