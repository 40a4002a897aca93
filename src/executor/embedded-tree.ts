/** Removes a directory with all that is in it, whoever made it and whatever its links say. */

import { bug } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { AT_FDCWD, AT_REMOVEDIR, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from '../linux/files.ts'
import { attempt, failure, mustUnless } from './embedded-call.ts'
import { close } from './embedded-files.ts'

const EISDIR = 21
const ENOENT = 2
const ENOTEMPTY = 39
const ENTRY_BYTES = 32768
const MAX_DEPTH = 4096
/** Whoever writes without end is not waited for. */
const ROUNDS = 100

/** Through descriptors only, so that nobody who renames directories meanwhile leads it elsewhere. An absent one is no error. */
export function removeTree(native: Native, path: string): void {
  const slash = path.lastIndexOf('/')
  const parent = openDirectory(native, AT_FDCWD, path.slice(0, slash) || '/', `remove ${path}`)
  if (parent === undefined) return
  try {
    removeEntry(native, parent, path.slice(slash + 1), path, 0)
  } finally {
    close(native, parent)
  }
}

function removeEntry(native: Native, parent: number, name: string, path: string, depth: number, round = 0): void {
  if (depth > MAX_DEPTH) throw bug(`${path} is deeper than ${MAX_DEPTH} directories`)
  const result = attempt(native, 'unlinkat', parent, name, 0)
  if (result >= 0 || result === -ENOENT) return
  if (result !== -EISDIR) throw failure(`remove ${path}`, 'unlinkat', result)
  const fd = openDirectory(native, parent, name, `remove ${path}`)
  if (fd === undefined) return
  try {
    for (const inside of listEntries(native, fd, path)) removeEntry(native, fd, inside, path, depth + 1)
  } finally {
    close(native, fd)
  }
  const removed = attempt(native, 'unlinkat', parent, name, AT_REMOVEDIR)
  // A process that is just ending, as the monitor of a container, may have written one file more.
  if (removed === -ENOTEMPTY && round < ROUNDS) removeEntry(native, parent, name, path, depth, round + 1)
  else if (removed < 0 && removed !== -ENOENT) throw failure(`remove ${path}`, 'unlinkat', removed)
}

const openDirectory = (native: Native, dir: number, name: string, operation: string): number | undefined =>
  mustUnless(
    { native, operation, expected: ['ENOENT'] },
    'openat',
    dir,
    name,
    O_RDONLY | O_CLOEXEC | O_DIRECTORY[native.architecture] | O_NOFOLLOW[native.architecture],
    0,
  )

/** Without . and ..; struct linux_dirent64: inode and offset of 8 bytes each, length of 2, type of 1, and the name. getdents64(2) */
export function listEntries(native: Native, fd: number, path: string): readonly string[] {
  const names: string[] = []
  const bytes = new Uint8Array(ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  for (;;) {
    const got = attempt(native, 'getdents64', fd, bytes, bytes.length)
    // ENOENT: somebody has removed it since it was opened.
    if (got === 0 || got === -ENOENT) return names
    if (got < 0) throw failure(`list ${path}`, 'getdents64', got)
    for (let at = 0; at < got; at += view.getUint16(at + 16, true)) {
      const start = at + 19
      const name = native.decode(bytes, start, bytes.indexOf(0, start) - start)
      if (name !== '.' && name !== '..') names.push(name)
    }
  }
}
