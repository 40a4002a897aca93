/** Looks at all that is in a directory, without following a link. */

import type { Native } from '../base/native.ts'
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, S_IFMT, STATX_BASIC_STATS } from '../linux/files.ts'
import { failure, mustUnless } from './embedded-call.ts'
import { close } from './embedded-files.ts'
import { listEntries } from './embedded-tree.ts'

const AT_SYMLINK_NOFOLLOW = 0x100
const STATX_BYTES = 256
const S_IFDIR = 0o040000

export interface Entry {
  /** Below the directory that is walked, without a slash in front. */
  readonly path: string
  /** Type and permissions, as st_mode. */
  readonly mode: number
  readonly sizeBytes: number
  readonly links: number
  /** Device and inode. */
  readonly identity: string
  /** What a device file stands for. */
  readonly device: { readonly major: number; readonly minor: number }
}

export type Visit = (entry: Entry, at: { readonly fd: number; readonly name: string }) => void

/** Directories come before what is in them. An absent one has nothing in it; what goes away meanwhile is left out. */
export function walk(native: Native, directory: string, visit: Visit): void {
  const fd = openDirectory(native, AT_FDCWD, directory, directory)
  if (fd === undefined) return
  try {
    walkInside(native, fd, '', visit)
  } finally {
    close(native, fd)
  }
}

function walkInside(native: Native, parent: number, path: string, visit: Visit): void {
  for (const name of [...listEntries(native, parent, path)].sort()) {
    const below = path === '' ? name : `${path}/${name}`
    const entry = statusAt(native, parent, name, below)
    if (entry === undefined) continue
    visit(entry, { fd: parent, name })
    if ((entry.mode & S_IFMT) !== S_IFDIR) continue
    const fd = openDirectory(native, parent, name, below)
    if (fd === undefined) continue
    try {
      walkInside(native, fd, below, visit)
    } finally {
      close(native, fd)
    }
  }
}

const openDirectory = (native: Native, parent: number, name: string, path: string): number | undefined =>
  mustUnless(
    { native, operation: `look into ${path}`, expected: ['ENOENT', 'ENOTDIR', 'ELOOP'] },
    'openat',
    parent,
    name,
    O_RDONLY | O_CLOEXEC | O_DIRECTORY[native.architecture] | O_NOFOLLOW[native.architecture],
    0,
  )

/** struct statx: links at 16, mode 28, inode 32, size 40, rdev 128, dev 136. statx(2) */
function statusAt(native: Native, parent: number, name: string, path: string): Entry | undefined {
  const view = new DataView(new ArrayBuffer(STATX_BYTES))
  const result = mustUnless(
    { native, operation: `look at ${path}`, expected: ['ENOENT'] },
    'statx',
    parent,
    name,
    AT_SYMLINK_NOFOLLOW,
    STATX_BASIC_STATS,
    view,
  )
  if (result === undefined) return undefined
  if (result < 0) throw failure(`look at ${path}`, 'statx', result)
  const word = (at: number): number => view.getUint32(at, true)
  return {
    path,
    mode: view.getUint16(28, true),
    sizeBytes: word(40) + word(44) * 0x1_0000_0000,
    links: word(16),
    identity: `${word(136)}:${word(140)}:${word(36)}:${word(32)}`,
    device: { major: word(128), minor: word(132) },
  }
}

/** The bytes of all files in a directory, one with several names once. */
export function diskUsage(native: Native, directory: string): number {
  const seen = new Set<string>()
  let total = 0
  walk(native, directory, ({ mode, links, identity, sizeBytes }) => {
    if ((mode & S_IFMT) === S_IFDIR || (links > 1 && seen.has(identity))) return
    if (links > 1) seen.add(identity)
    total += sizeBytes
  })
  return total
}
