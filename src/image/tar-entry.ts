/** An entry of an archive, from its header and the records before it. */

import type { Extent, TarEntry, TarKind } from './tar.ts'
import { readTime } from './tar-header.ts'
import type { Found } from './tar-records.ts'

const KINDS: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  // A contiguous file, and an old sparse one.
  '7': 'file',
  S: 'file',
}

export interface Named {
  readonly path: string
  /** Undefined for a kind that nobody can make, such as the label of a volume. */
  readonly kind: TarKind | undefined
  /** Of the content that follows, maps of sparse files included. */
  readonly sizeBytes: number
}

/** Old programs wrote a directory as a file with a slash at its end. */
export function namedOf({ header, records }: Found): Named {
  const path = records.text('GNU.sparse.name') ?? records.text('path') ?? header.path
  const kind = KINDS[header.type] === 'file' && path.endsWith('/') ? 'directory' : KINDS[header.type]
  return { path, kind, sizeBytes: records.number('size') ?? header.sizeBytes }
}

export interface Stored {
  readonly sizeBytes: number
  readonly extents?: readonly Extent[] | undefined
}

/** `stored` is what the file has, holes included. */
export function entryOf(
  { header, records }: Found,
  { path, kind }: { readonly path: string; readonly kind: TarKind },
  { sizeBytes, extents }: Stored,
): TarEntry {
  const mtime = records.text('mtime')
  return {
    path,
    kind,
    mode: header.mode,
    uid: records.number('uid') ?? header.uid,
    gid: records.number('gid') ?? header.gid,
    sizeBytes,
    modified: mtime === undefined ? header.modified : readTime(mtime),
    target: kind === 'symlink' || kind === 'link' ? (records.text('linkpath') ?? header.target) : '',
    device: header.device,
    xattrs: records.xattrs(),
    extents,
  }
}
