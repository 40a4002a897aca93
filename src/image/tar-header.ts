/**
 * The headers of a tar archive: blocks of 512 bytes, and the records of pax.
 *
 * Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files"
 */

import { OperationError } from '../base/errors.ts'
import type { TarTime } from './tar.ts'

export interface Header {
  /** The letter of the kind; NUL counts as '0'. */
  readonly type: string
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  readonly modified: TarTime
  readonly target: string
  readonly device: { readonly major: number; readonly minor: number }
}

/** Makes text of the bytes of a name, which need not be UTF-8: native.decode, or linux/bytes.ts. */
export type Decode = (bytes: Uint8Array) => string

const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  target: [157, 100],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const

const TYPE_AT = 156
const MAGIC_AT = 257

/** Undefined for a block of zeros, which ends an archive. Throws `invalid` for what is no header. */
export function readHeader(block: Uint8Array, decode: Decode): Header | undefined {
  const sums = sumsOf(block)
  if (sums.bytes === 0) return undefined
  if (!isSummed(block, sums)) throw broken('the checksum of a header is wrong')
  const text = (field: keyof typeof FIELDS): string => decode(untilNul(fieldOf(block, field)))
  const number = (field: keyof typeof FIELDS): number => notNegative(numberOf(fieldOf(block, field)), field)
  const isUstar = decode(block.subarray(MAGIC_AT, MAGIC_AT + 6)) === 'ustar\0'
  const prefix = isUstar ? text('prefix') : ''
  const type = String.fromCharCode(block[TYPE_AT] || 0x30)
  const hasDevice = type === '3' || type === '4'
  return {
    type,
    path: prefix === '' ? text('name') : `${prefix}/${text('name')}`,
    mode: number('mode') & 0o7777,
    uid: number('uid'),
    gid: number('gid'),
    sizeBytes: number('size'),
    modified: { seconds: numberOf(fieldOf(block, 'mtime')), nanos: 0 },
    target: text('target'),
    device: hasDevice ? { major: number('major'), minor: number('minor') } : { major: 0, minor: 0 },
  }
}

/** Only a time can be; whoever believed a size below 0 would read on somewhere else than others do. */
function notNegative(value: number, field: string): number {
  if (value < 0) throw broken(`${field} is ${value}`)
  return value
}

interface Sums {
  /** Of all bytes. */
  readonly bytes: number
  /** As the checksum has them: with blanks in its own place, and of bytes with and without a sign. */
  readonly unsigned: number
  readonly signed: number
}

/** A loop, as functions for each byte of each header took 3 % of the time of a load. */
function sumsOf(block: Uint8Array): Sums {
  const [at, length] = FIELDS.checksum
  let [bytes, own, negative] = [0, 0, 0]
  for (let index = 0; index < block.length; index++) {
    const byte = block[index] ?? 0
    bytes += byte
    if (index >= at && index < at + length) own += byte
    else if (byte > 127) negative++
  }
  const unsigned = bytes - own + length * 0x20
  return { bytes, unsigned, signed: unsigned - negative * 256 }
}

/** Old programs summed signed bytes. */
function isSummed(block: Uint8Array, { unsigned, signed }: Sums): boolean {
  const said = numberOf(fieldOf(block, 'checksum'))
  return said === unsigned || said === signed
}

const fieldOf = (block: Uint8Array, field: keyof typeof FIELDS): Uint8Array => {
  const [at, length] = FIELDS[field]
  return block.subarray(at, at + length)
}

export function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** Octal digits between blanks and NULs, or, with the highest bit set, a binary number (GNU). Throws `invalid` beyond 2^53. */
export function numberOf(field: Uint8Array): number {
  const first = field[0] ?? 0
  if (first & 0x80) return binaryIn(field, first === 0xff)
  const digits = String.fromCharCode(...field)
    .replace(/^[ \0]+/, '')
    .replace(/[ \0].*$/s, '')
  if (!/^[0-7]*$/.test(digits)) throw broken(`${JSON.stringify(digits)} is no octal number`)
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

function binaryIn(field: Uint8Array, isNegative: boolean): number {
  let value = isNegative ? -1n : 0n
  field.forEach((byte, index) => {
    value = (value << 8n) | BigInt(index === 0 && !isNegative ? byte & 0x7f : byte)
  })
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw broken('a number is beyond 2^53')
  return number
}

export const ascii = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** A time as pax has it, `1700000000.25`. */
export function readTime(text: string): TarTime {
  const match = /^(-?\d{1,15})(?:\.(\d*))?$/.exec(text)
  if (match === null) throw broken(`${JSON.stringify(text)} is no time`)
  return { seconds: Number(match[1]), nanos: Number((match[2] ?? '').slice(0, 9).padEnd(9, '0')) }
}

export function readDecimal(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw broken(`${JSON.stringify(text)} is no number`)
  return value
}

export const broken = (reason: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'read the tar archive',
    reason,
    hint: 'the archive is damaged, or is no tar archive',
  })

export const cutOff = (): OperationError => broken('it ends in the middle of an entry')
