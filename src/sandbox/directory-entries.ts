/** What getdents64(2) answers. */

export type EntryKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character' | 'block' | 'unknown'

export interface Entry {
  /** Bytes that are no UTF-8 are replaced. */
  readonly name: string
  readonly kind: EntryKind
}

/** d_type: readdir(3). */
const KINDS: Readonly<Record<number, EntryKind>> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
}

/** struct linux_dirent64: d_ino, d_off (8 bytes each), d_reclen at 16 (2), d_type at 18 (1), d_name with a NUL from 19 on. */
export function parseEntries(bytes: Uint8Array, decode: (bytes: Uint8Array) => string = textIn): readonly Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: Entry[] = []
  for (let at = 0; at + 19 < bytes.length; ) {
    const length = view.getUint16(at + 16, true)
    const nameBytes = bytes.subarray(at + 19, at + length)
    const name = decode(nameBytes.subarray(0, nameBytes.indexOf(0)))
    if (name !== '.' && name !== '..') entries.push({ name, kind: KINDS[bytes[at + 18] ?? 0] ?? 'unknown' })
    at += length
  }
  return entries
}

const decoder = new TextDecoder()
const textIn = (bytes: Uint8Array): string => decoder.decode(bytes)
