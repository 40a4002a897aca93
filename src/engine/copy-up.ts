/**
 * A volume that is mounted for the first time gets what the image has at that place, as with docker.
 *
 * The image is not mounted yet, so its layers are read one above the other, as overlayfs would show them. They are a stranger's: no
 * symbolic link is followed on the way, and files are opened without following one.
 *
 * Source: kernel:filesystems/overlayfs.rst "whiteouts and opaque directories"
 */

import type { FileStatus } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { close, makeDirectory, open, rename } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  deviceNumber,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFSOCK,
} from '../linux/files.ts'
import { asOwner } from './owner.ts'
import { type Engine, volumePath, volumesDirectory } from './place.ts'
import { COPIED, fillVolume, newVolumePath } from './volumes.ts'

/**
 * `layers` are directories, the uppermost first. For who holds the lock of names; of a command that is killed meanwhile the volume is empty
 * still, or whoever mends fills it. The directory stays the same: containers that run may have it mounted.
 */
export function copyUpVolume(engine: Engine, volume: NewVolume, layers: readonly string[]): void {
  asOwner(engine, () => copyUp(engine, volume, layers))
}

interface NewVolume {
  readonly name: string
  readonly destination: string
}

function copyUp(engine: Engine, { name, destination }: NewVolume, layers: readonly string[]): void {
  const { native, files } = engine.machine
  const data = `${volumePath(engine, name)}/_data`
  // Of who was killed at it.
  fillVolume(engine, name)
  if ((files.list(data) ?? []).length > 0) return
  const sources = directoriesAt(engine, layers, destination)
  if (sources.length === 0) return
  const copy = newVolumePath(engine)
  removeTree(native, copy)
  makeDirectory(native, copy, 0o755)
  copyDirectory(engine, sources, copy)
  // From now on it is whole, and only has to be moved.
  rename(native, copy, `${volumesDirectory(engine)}/${COPIED}${name}`)
  fillVolume(engine, name)
}

/**
 * The same for a directory of another file system, into which nothing can be moved: of a command that is killed meanwhile a part is there.
 * Containers may have it mounted and exchange what is in it, so that each name is looked up in the open directory that it was made in.
 */
export function copyUpDirectory(
  engine: Engine,
  { directory, destination }: { readonly directory: string; readonly destination: string },
  layers: readonly string[],
): void {
  asOwner(engine, () => {
    if ((engine.machine.files.list(directory) ?? []).length > 0) return
    const sources = directoriesAt(engine, layers, destination)
    // Its own path may have links: whoever made the volume gave it.
    if (sources.length > 0) copyDirectory(engine, sources, `${directory}/.`)
  })
}

/** The directories of the layers that make up the one at `path`, the uppermost first; none if a link is on the way. */
function directoriesAt(engine: Engine, layers: readonly string[], path: string): readonly string[] {
  let at = layers
  for (const part of path.split('/').filter((one) => one !== '')) {
    const [found] = entriesOf(engine, at).filter(({ name }) => name === part)
    if (found?.kind !== 'directory') return []
    at = found.paths
  }
  return at
}

type Entry = { readonly name: string } & (
  | { readonly kind: 'directory'; readonly paths: readonly string[] }
  | { readonly kind: 'other'; readonly path: string }
)

/** What is seen in a directory that these make up: of each name the uppermost, and of directories all down to one that is opaque. */
function entriesOf(engine: Engine, directories: readonly string[]): readonly Entry[] {
  const found = new Map<string, string[]>()
  for (const directory of directories)
    for (const name of engine.machine.files.list(directory) ?? []) {
      const path = `${directory}/${name}`
      const above = found.get(name)
      if (above === undefined) found.set(name, [path])
      else above.push(path)
    }
  return [...found].flatMap(([name, paths]) => entryOf(engine, name, paths))
}

function entryOf(engine: Engine, name: string, paths: readonly string[]): readonly Entry[] {
  const [first = ''] = paths
  if (!isDirectory(engine, first)) return isWhiteout(engine, first) ? [] : [{ name, kind: 'other', path: first }]
  const shown: string[] = []
  for (const path of paths) {
    if (!isDirectory(engine, path)) break
    shown.push(path)
    if (isOpaque(engine, path)) break
  }
  return [{ name, kind: 'directory', paths: shown }]
}

const isDirectory = ({ machine: { files } }: Engine, path: string): boolean =>
  files.readLink(path) === undefined && files.status(path)?.kind === 'directory'

function isWhiteout({ machine: { files } }: Engine, path: string): boolean {
  if (files.readLink(path) !== undefined) return false
  const status = files.status(path)
  return status?.kind === 'character' && status.device.major === 0 && status.device.minor === 0
}

function isOpaque({ machine: { native } }: Engine, path: string): boolean {
  const value = new Uint8Array(1)
  return ['trusted.overlay.opaque', 'user.overlay.opaque'].some(
    (name) => attempt(native, 'lgetxattr', path, name, value, 1) === 1 && value[0] === 'y'.charCodeAt(0),
  )
}

/** What is in these, into a directory that is there, which becomes theirs as well. */
function copyDirectory(engine: Engine, directories: readonly string[], to: string): void {
  const { native, files } = engine.machine
  const fd = open(native, to, O_RDONLY | O_DIRECTORY[native.architecture] | O_NOFOLLOW[native.architecture])
  try {
    copyEntries(engine, directories, `/proc/self/fd/${fd}`)
    const status = files.status(directories[0] ?? '')
    if (status !== undefined) ownOpen(native, fd, to, status)
  } finally {
    close(native, fd)
  }
}

/** Owner first, as chown(2) takes set-id bits away. */
function ownOpen(native: Native, fd: number, path: string, { mode, uid, gid }: FileStatus): void {
  must(native, `give ${path} an owner`, 'fchown', fd, uid, gid)
  must(native, `give ${path} a mode`, 'fchmod', fd, mode & 0o7777)
}

function copyEntries(engine: Engine, directories: readonly string[], to: string): void {
  const { native, files } = engine.machine
  for (const entry of entriesOf(engine, directories)) {
    const target = `${to}/${entry.name}`
    if (entry.kind === 'directory') {
      makeDirectory(native, target, 0o700)
      copyDirectory(engine, entry.paths, target)
      continue
    }
    const link = files.readLink(entry.path)
    if (link !== undefined) must(native, `make the link ${target}`, 'symlinkat', link, AT_FDCWD, target)
    else copyFile(engine, entry.path, target)
  }
}

const CHUNK_BYTES = 1 << 24

function copyFile(engine: Engine, from: string, to: string): void {
  const { native, files } = engine.machine
  const status = files.status(from)
  if (status === undefined) return
  if (status.kind !== 'file') {
    const { major, minor } = status.device
    must(
      native,
      `make ${to}`,
      'mknodat',
      AT_FDCWD,
      to,
      typeOf(status) | (status.mode & 0o7777),
      deviceNumber(major, minor),
    )
    const made = open(native, to, O_PATH | O_NOFOLLOW[native.architecture])
    try {
      // What is there now may be somebody's link: the file itself is meant, and a link has no mode.
      must(native, `give ${to} an owner`, 'fchownat', made, '', status.uid, status.gid, AT_EMPTY_PATH)
      must(native, `give ${to} a mode`, 'fchmodat', AT_FDCWD, `/proc/self/fd/${made}`, status.mode & 0o7777)
    } finally {
      close(native, made)
    }
    return
  }
  const source = open(native, from, O_RDONLY | O_NOFOLLOW[native.architecture])
  const target = open(native, to, O_WRONLY | O_CREAT | O_EXCL, 0o600)
  try {
    while (must(native, `copy ${from}`, 'sendfile', target, source, 0, CHUNK_BYTES) > 0);
    ownOpen(native, target, to, status)
  } finally {
    close(native, source)
    close(native, target)
  }
}

function typeOf({ kind }: FileStatus): number {
  if (kind === 'character') return S_IFCHR
  if (kind === 'block') return S_IFBLK
  return kind === 'fifo' ? S_IFIFO : S_IFSOCK
}
