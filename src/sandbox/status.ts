/** What statx(2) tells of a file. */

import { S_IFMT } from '../linux/files.ts'
import type { EntryKind } from './directory-entries.ts'

export type FileKind = Exclude<EntryKind, 'unknown'>

export interface Status {
  readonly kind: FileKind
  /** Permissions, with the set-id and sticky bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** Of a device file. 0 and 0 is a whiteout: kernel:filesystems/overlayfs.rst "whiteouts and opaque directories" */
  readonly isWhiteout: boolean
  readonly accessed: Time
  readonly modified: Time
  /** Of the inode, by which also a rename and a change of its mode are seen; nobody can set it. Nanoseconds since 1970. */
  readonly changedNs: bigint
  readonly inodeLow: number
}

export interface Time {
  readonly seconds: bigint
  readonly nanos: number
}

export const STATUS_BYTES = 256

/** By the high bits of the mode: inode(7). */
const KINDS: Readonly<Record<number, FileKind>> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
}

/** struct statx; undefined for one that the kernel has not filled in: there is no such file. */
export function parseStatus(bytes: Uint8Array): Status | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const mode = view.getUint16(28, true)
  const kind = KINDS[(mode & S_IFMT) >> 12]
  if (kind === undefined) return undefined
  const time = (at: number): Time => ({ seconds: view.getBigInt64(at, true), nanos: view.getUint32(at + 8, true) })
  const changed = time(96)
  return {
    kind,
    mode: mode & 0o7777,
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    sizeBytes: Number(view.getBigUint64(40, true)),
    isWhiteout: kind === 'character' && view.getUint32(128, true) === 0 && view.getUint32(132, true) === 0,
    accessed: time(64),
    modified: time(112),
    changedNs: changed.seconds * 1_000_000_000n + BigInt(changed.nanos),
    inodeLow: view.getUint32(32, true),
  }
}
