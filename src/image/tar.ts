/** What a tar archive holds, whatever dialect says it: ustar, pax, GNU. Shared by its reader and its writer. */

export type TarKind = 'file' | 'directory' | 'symlink' | 'link' | 'character' | 'block' | 'fifo'

export interface TarEntry {
  /** As it is written in the archive: it may be absolute, and lead anywhere. */
  readonly path: string
  readonly kind: TarKind
  /** Twelve bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of a file, holes included. */
  readonly sizeBytes: number
  readonly modified: TarTime
  /** Where a `symlink` leads; the path of another entry for a `link`. */
  readonly target: string
  readonly device: { readonly major: number; readonly minor: number }
  readonly xattrs: ReadonlyMap<string, Uint8Array>
  /** Which parts of a file the content is; the rest are holes. Undefined: all of it. */
  readonly extents?: readonly Extent[] | undefined
}

/** Since 1970; nanoseconds are those beyond the second. */
export interface TarTime {
  readonly seconds: number
  readonly nanos: number
}

export interface Extent {
  readonly offset: number
  readonly sizeBytes: number
}

export const BLOCK = 512

/** The size of content, filled up to whole blocks. */
export const padded = (sizeBytes: number): number => Math.ceil(sizeBytes / BLOCK) * BLOCK
