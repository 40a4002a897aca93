/** C structures as bytes. Both architectures of coffer are little-endian with natural alignment. */

import type { Pointer, Size, Slot, Struct, StructField } from './call.ts'

/** Packs 64-bit words; a number must be an integer, negative ones go in two's complement. */
export function packU64(words: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.length * 8))
  words.forEach((word, index) => {
    setU64(view, index * 8, word)
  })
  return new Uint8Array(view.buffer)
}

export function packU32(words: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.length * 4))
  words.forEach((word, index) => {
    view.setUint32(index * 4, word, true)
  })
  return new Uint8Array(view.buffer)
}

/** Writes an integer below 2^53, or a negative one, as 64 bits. BigInt would be exact as well, but is slow in the embedded engine. */
export function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true)
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000) >>> 0, true)
}

/** A structure of 64-bit fields, some of which are results of earlier calls or pointers. */
export function structOf64(words: readonly (number | Slot | Pointer)[]): Struct {
  const fields: StructField[] = []
  const numbers = words.map((word, index) => {
    if (typeof word === 'number') return word
    fields.push({ offset: index * 8, sizeBytes: 8, value: word })
    return 0
  })
  return { struct: packU64(numbers), fields }
}

/**
 * The bytes of a string in UTF-8.
 *
 * A lone U+DC80 to U+DCFF is one byte, 0x80 to 0xff: so are bytes that are no UTF-8 carried in text (base/native.ts, PEP 383). Any other
 * lone surrogate becomes U+FFFD, as in native/text.c.
 */
export function utf8(value: string): Uint8Array {
  const bytes: number[] = []
  for (const character of value) {
    const point = character.codePointAt(0) ?? 0
    const code = isSurrogate(point) && !isEscapedByte(point) ? 0xfffd : point
    if (code < 0x80) bytes.push(code)
    else if (isEscapedByte(code)) bytes.push(code & 0xff)
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63))
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63))
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63))
  }
  return Uint8Array.from(bytes)
}

/** A size as a number. */
export const sizeBytesOf = (size: number | Size): number => (typeof size === 'number' ? size : utf8Length(size.sizeOf))

const ASCII = /^[\0-\x7f]*$/

const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff
const isEscapedByte = (code: number): boolean => code >= 0xdc80 && code <= 0xdcff

/** The length of a string in UTF-8, without making the bytes. */
export function utf8Length(value: string): number {
  // Nearly all text is ASCII, and a regular expression is much faster than a loop in the embedded engine.
  if (ASCII.test(value)) return value.length
  let length = value.length
  for (let index = 0; index < value.length; index++) {
    const unit = value.charCodeAt(index)
    if (unit < 0x80) continue
    const next = value.charCodeAt(index + 1)
    if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
      // Two units, four bytes.
      length += 2
      index++
    } else if (unit < 0x800) length += 1
    else if (!isEscapedByte(unit)) length += 2
  }
  return length
}
