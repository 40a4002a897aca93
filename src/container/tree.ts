/** What an image has below a directory, for tmpcopyup. */

import type { FileStatus, Files } from '../base/files.ts'
import { deviceNumber, S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } from '../linux/files.ts'
import type { TreeEntry } from '../plan/mounts-copy-up.ts'

/**
 * A directory comes before what is in it; undefined if `path` is no directory of the image.
 *
 * A symbolic link on the way to it counts as no directory: it might lead out of the image, whose files are all that may be copied.
 */
export function listTree(files: Files, rootfs: string, path: string): readonly TreeEntry[] | undefined {
  let at = rootfs
  for (const part of path.split('/').filter((one) => one !== '')) {
    at = `${at}/${part}`
    if (files.readLink(at) !== undefined) return undefined
  }
  return files.status(at)?.kind === 'directory' ? entriesIn(files, at, '') : undefined
}

function entriesIn(files: Files, directory: string, prefix: string): readonly TreeEntry[] {
  return (files.list(directory) ?? []).flatMap((name) => {
    const path = prefix === '' ? name : `${prefix}/${name}`
    const entry = entryOf(files, `${directory}/${name}`, path)
    if (entry === undefined) return []
    return entry.kind === 'directory' ? [entry, ...entriesIn(files, `${directory}/${name}`, path)] : [entry]
  })
}

function entryOf(files: Files, at: string, path: string): TreeEntry | undefined {
  const target = files.readLink(at)
  if (target !== undefined) return { path, mode: 0o777, uid: 0, gid: 0, kind: 'symlink', target }
  const status = files.status(at)
  if (status === undefined) return undefined
  const { mode, uid, gid } = status
  if (status.kind === 'directory') return { path, mode, uid, gid, kind: 'directory' }
  if (status.kind === 'file') return { path, mode, uid, gid, kind: 'file', sizeBytes: status.sizeBytes }
  return {
    path,
    mode,
    uid,
    gid,
    kind: 'node',
    type: typeOf(status),
    device: deviceNumber(status.device.major, status.device.minor),
  }
}

function typeOf({ kind }: FileStatus): number {
  if (kind === 'character') return S_IFCHR
  if (kind === 'block') return S_IFBLK
  return kind === 'fifo' ? S_IFIFO : S_IFSOCK
}
