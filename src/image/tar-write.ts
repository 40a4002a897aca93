/**
 * Writes a tar archive: ustar headers, with pax records for what does not fit into them. The same entries give the same bytes.
 *
 * Source: POSIX.1-2017 pax
 */

import { BLOCK, padded, type TarEntry, type TarKind } from './tar.ts'

/** Bytes of text, names that are no UTF-8 included: linux/bytes.ts. */
export type Encode = (text: string) => Uint8Array

const LETTERS: Readonly<Record<TarKind, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}

/** All that stands before the content of an entry; the content is to be filled up to `padded(sizeBytes)`. Holes are content here. */
export function tarHeader(entry: TarEntry, encode: Encode): Uint8Array {
  const records = recordsFor(entry, encode)
  const own = headerBlock(entry, LETTERS[entry.kind], encode)
  if (records.length === 0) return own
  const body = join(records)
  const name = { ...entry, path: 'pax', target: '', sizeBytes: body.length, uid: 0, gid: 0, mode: 0o644 }
  const extension = headerBlock({ ...name, modified: { seconds: 0, nanos: 0 } }, 'x', encode)
  return join([extension, filled(body, padded(body.length)), own])
}

/** Two blocks of zeros. */
export const tarEnd = (): Uint8Array => new Uint8Array(2 * BLOCK)

const NAME_BYTES = 100
const MAX_OCTAL_7 = 0o7777777
const MAX_OCTAL_11 = 0o77777777777

function recordsFor(entry: TarEntry, encode: Encode): readonly Uint8Array[] {
  const { path, target, sizeBytes, uid, gid, modified, xattrs } = entry
  const records: Uint8Array[] = []
  const say = (key: string, value: string | number): void => {
    records.push(record(key, encode(String(value)), encode))
  }
  if (needsRecord(path, encode)) say('path', path)
  if (needsRecord(target, encode)) say('linkpath', target)
  if (sizeBytes > MAX_OCTAL_11) say('size', sizeBytes)
  if (uid > MAX_OCTAL_7) say('uid', uid)
  if (gid > MAX_OCTAL_7) say('gid', gid)
  if (modified.nanos > 0 || modified.seconds < 0 || modified.seconds > MAX_OCTAL_11) say('mtime', timeText(entry))
  for (const [key, value] of [...xattrs].sort(([a], [b]) => (a < b ? -1 : 1)))
    records.push(record(`SCHILY.xattr.${key}`, value, encode))
  return records
}

/** Too long, or with bytes that mean nothing without a character set. */
const needsRecord = (text: string, encode: Encode): boolean => encode(text).length > NAME_BYTES || /[^ -~]/.test(text)

const timeText = ({ modified: { seconds, nanos } }: TarEntry): string =>
  nanos === 0 ? `${seconds}` : `${seconds}.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function record(key: string, value: Uint8Array, encode: Encode): Uint8Array {
  const rest = encode(` ${key}=`).length + value.length + 1
  let length = rest + String(rest).length
  if (rest + String(length).length !== length) length = rest + String(length).length
  return join([encode(`${length} ${key}=`), value, encode('\n')])
}

function headerBlock(entry: TarEntry, letter: string, encode: Encode): Uint8Array {
  const { path, target, mode, uid, gid, sizeBytes, modified, device } = entry
  const block = new Uint8Array(BLOCK)
  const put = (at: number, length: number, text: string): void => block.set(encode(text).subarray(0, length), at)
  const octal = (at: number, length: number, value: number): void => {
    const fits = value >= 0 && value < 8 ** (length - 1)
    put(at, length, `${(fits ? value : 0).toString(8).padStart(length - 1, '0')}\0`)
  }
  put(0, NAME_BYTES, path)
  octal(100, 8, mode)
  octal(108, 8, uid)
  octal(116, 8, gid)
  octal(124, 12, sizeBytes)
  octal(136, 12, modified.seconds)
  put(156, 1, letter)
  put(157, NAME_BYTES, target)
  put(257, 8, 'ustar\x0000')
  octal(329, 8, device.major)
  octal(337, 8, device.minor)
  put(148, 8, ' '.repeat(8))
  const sum = block.reduce((total, byte) => total + byte, 0)
  put(148, 8, `${sum.toString(8).padStart(6, '0')}\0 `)
  return block
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, { length }) => total + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function filled(bytes: Uint8Array, length: number): Uint8Array {
  const all = new Uint8Array(length)
  all.set(bytes)
  return all
}
