/** Files by a directory's descriptor and a name in it, so that nobody who exchanges names or links meanwhile leads us elsewhere. */

import type { FileKind } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { packU64 } from '../linux/bytes.ts'
import { errnoName } from '../linux/errno.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  STATX_BASIC_STATS,
} from '../linux/files.ts'
import { attempt, failure, must } from './embedded-call.ts'
import { close } from './embedded-files.ts'

export interface StatusAt {
  readonly kind: FileKind
  /** Twelve bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  readonly links: number
  /** Device and inode. */
  readonly identity: string
  /** Of the file system. */
  readonly fileSystem: string
  readonly device: { readonly major: number; readonly minor: number }
  readonly modified: { readonly seconds: number; readonly nanos: number }
}

/**
 * How a path is resolved.
 *
 * | manner    | links                                          | `..` and absolute paths |
 * |-----------|------------------------------------------------|-------------------------|
 * | `host`    | are followed                                   | as usual                |
 * | `in-root` | are followed as the directory were the root    | stay in the directory   |
 * | `beneath` | are an error                                   | are an error            |
 */
export type Manner = 'host' | 'in-root' | 'beneath'

const RESOLVE: Readonly<Record<Manner, number>> = {
  host: 0,
  'in-root': RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  beneath: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
}

const ABSENT: readonly string[] = ['ENOENT', 'ENOTDIR']
/** Of openat2(2), while somebody renames what the path goes through. */
const ATTEMPTS = 1000

export interface OpenAt {
  readonly directory: number
  readonly path: string
  readonly manner: Manner
  /** O_PATH if undefined. */
  readonly flags?: number
}

/** Answers undefined for a path at which there is nothing. */
export function openAt(native: Native, { directory, path, manner, flags = O_PATH }: OpenAt): number | undefined {
  const how = packU64([flags | O_CLOEXEC, 0, RESOLVE[manner]])
  for (let count = 0; ; count++) {
    const fd = attempt(native, 'openat2', directory, path, how, how.length)
    if (fd >= 0) return fd
    const code = errnoName(-fd)
    if (ABSENT.includes(code)) return undefined
    if ((code !== 'EAGAIN' && code !== 'EINTR') || count >= ATTEMPTS)
      throw failure(`open ${path}`, 'openat2', fd, [path])
  }
}

export const mustOpenAt = (native: Native, what: OpenAt): number => {
  const fd = openAt(native, what)
  if (fd === undefined) throw failure(`open ${what.path}`, 'openat2', -ENOENT, [what.path])
  return fd
}

const ENOENT = 2

/** The file of this name itself, whatever it is; undefined if there is none. */
export const openName = (native: Native, directory: number, name: string): number | undefined =>
  openAt(native, { directory, path: name, manner: 'host', flags: O_PATH | O_NOFOLLOW[native.architecture] })

/** A directory of this name; undefined if there is none, or something else. */
export const openDirectoryName = (native: Native, directory: number, name: string): number | undefined =>
  openAt(native, {
    directory,
    path: name,
    manner: 'host',
    flags: O_RDONLY | O_DIRECTORY[native.architecture] | O_NOFOLLOW[native.architecture],
  })

/** The same file as an O_PATH descriptor, for reading. Nothing is resolved anew: proc_pid_fd(5). */
export const reopen = (native: Native, fd: number): number =>
  must(native, 'read a file', 'openat', AT_FDCWD, `/proc/self/fd/${fd}`, O_RDONLY | O_CLOEXEC, 0)

const STATX_BYTES = 256
const S_IFLNK = 0o120000
const KINDS: ReadonlyMap<number, FileKind> = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'character'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
  [S_IFSOCK, 'socket'],
])

/** struct statx: links at 16, uid 20, gid 24, mode 28, inode 32, size 40, mtime 112, rdev 128, dev 136. statx(2) */
export function statusOf(native: Native, fd: number): StatusAt {
  const view = new DataView(new ArrayBuffer(STATX_BYTES))
  must(native, 'look at a file', 'statx', fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, view)
  const word = (at: number): number => view.getUint32(at, true)
  const mode = view.getUint16(28, true)
  const fileSystem = `${word(136)}:${word(140)}`
  return {
    kind: KINDS.get(mode & S_IFMT) ?? 'socket',
    mode: mode & 0o7777,
    uid: word(20),
    gid: word(24),
    sizeBytes: word(40) + word(44) * 0x1_0000_0000,
    links: word(16),
    identity: `${fileSystem}:${word(36)}:${word(32)}`,
    fileSystem,
    device: { major: word(128), minor: word(132) },
    modified: { seconds: word(112) + view.getInt32(116, true) * 0x1_0000_0000, nanos: word(120) },
  }
}

const LINK_BYTES = 4096

/** Where the symbolic link leads that `fd`, an O_PATH descriptor, is. readlinkat(2) */
export function linkTarget(native: Native, fd: number): string {
  const bytes = new Uint8Array(LINK_BYTES)
  return native.decode(bytes, 0, must(native, 'read a symbolic link', 'readlinkat', fd, '', bytes, bytes.length))
}

const NAMES_BYTES = 65_536
const EOPNOTSUPP = 95
/** Owner, mode and rights are said elsewhere; these are of the file, and mean the same to whoever gets a copy. */
const KEPT = /^(?:security\.capability|user\..+)$/
/** What an overlay keeps for itself: who could set it would place its files as he likes. */
const OVERLAY = /^user\.overlay\./

/** Extended attributes of an open file or directory that go with a copy. */
export function attributesOf(native: Native, fd: number): ReadonlyMap<string, Uint8Array> {
  const names = new Uint8Array(NAMES_BYTES)
  const length = attempt(native, 'flistxattr', fd, names, names.length)
  if (length === -EOPNOTSUPP || length === 0) return new Map()
  if (length < 0) throw failure('list extended attributes', 'flistxattr', length)
  const kept = native
    .decode(names, 0, length)
    .split('\0')
    .filter((name) => KEPT.test(name) && !OVERLAY.test(name))
  return new Map(
    kept.flatMap((name): readonly (readonly [string, Uint8Array])[] => {
      const value = new Uint8Array(NAMES_BYTES)
      const got = attempt(native, 'fgetxattr', fd, name, value, value.length)
      return got < 0 ? [] : [[name, value.slice(0, got)]]
    }),
  )
}

/** A file system that has no attributes of a kind goes without. */
export function setAttributes(native: Native, fd: number, attributes: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, value] of attributes) {
    if (OVERLAY.test(name) || name.startsWith('trusted.')) continue
    const result = attempt(native, 'fsetxattr', fd, name, value, value.length, 0)
    if (result < 0 && result !== -EOPNOTSUPP) throw failure(`set the attribute ${name}`, 'fsetxattr', result)
  }
}

/** Calls with the descriptor, and closes it. */
export function withFd<Result>(native: Native, fd: number, body: (fd: number) => Result): Result {
  try {
    return body(fd)
  } finally {
    close(native, fd)
  }
}
