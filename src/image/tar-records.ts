/**
 * What stands in headers of their own before that of an entry: pax records, for this entry or for all that follow, and GNU's long names.
 *
 * Source: POSIX.1-2017 pax, "pax Extended Header"
 */

import { ascii, broken, type Decode, type Header, readDecimal, untilNul } from './tar-header.ts'

/** Records for all entries that follow. */
export class Global {
  readonly #records = new Map<string, Uint8Array>()
  #bytes = 0

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key)
  }

  /** Throws `invalid` when they become too many. */
  set(key: string, value: Uint8Array): void {
    const old = this.#records.get(key)
    this.#bytes += value.length - (old === undefined ? -key.length : old.length)
    if (this.#bytes > MAX_RECORD_BYTES) throw broken(`it has records for all entries of ${this.#bytes} bytes`)
    this.#records.set(key, value)
  }
}

/** What stands in front of one entry, and what holds for all of them: no name, and no set of attributes, comes near. */
export const MAX_RECORD_BYTES: number = 1024 * 1024

/** GNU's headers for what is too long say the same as these records. */
const LONG: Readonly<Record<string, string>> = { L: 'path', K: 'linkpath' }

/** Whether a header of this type only says something of the next one. */
export const isExtension = (type: string): boolean => type === 'x' || type === 'g' || LONG[type] !== undefined

/** The header of an entry, and what stood in the headers before it. */
export interface Found {
  readonly block: Uint8Array
  readonly header: Header
  readonly records: Records
}

const XATTR = 'SCHILY.xattr.'

export class Records {
  /** Numbers of the oldest form of sparse files, which repeats its keys. */
  readonly pairs: number[] = []
  readonly #own = new Map<string, Uint8Array>()
  readonly #global: Global
  readonly #decode: Decode
  #bytes = 0

  constructor(global: Global, decode: Decode) {
    this.#global = global
    this.#decode = decode
  }

  /** Takes in the body of a header of one of these types. Throws `invalid`. */
  add(type: string, body: Uint8Array): void {
    this.#bytes += body.length
    if (this.#bytes > MAX_RECORD_BYTES) throw broken(`an entry has headers of more than ${MAX_RECORD_BYTES} bytes`)
    const long = LONG[type]
    if (long !== undefined) {
      this.#own.set(long, untilNul(body))
      return
    }
    for (const [key, value] of readRecords(body)) {
      if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') this.pairs.push(readDecimal(ascii(value)))
      else (type === 'g' ? this.#global : this.#own).set(key, value)
    }
  }

  text(key: string): string | undefined {
    const value = this.#own.get(key) ?? this.#global.get(key)
    return value === undefined ? undefined : this.#decode(value)
  }

  number(key: string): number | undefined {
    const text = this.text(key)
    return text === undefined ? undefined : readDecimal(text)
  }

  xattrs(): ReadonlyMap<string, Uint8Array> {
    const found = [...this.#own].filter(([key]) => key.startsWith(XATTR))
    return new Map(found.map(([key, value]) => [key.slice(XATTR.length), value]))
  }
}

/** The records of a pax header, `LENGTH KEY=VALUE\n` each; values are bytes. Throws `invalid`. */
function readRecords(bytes: Uint8Array): readonly (readonly [key: string, value: Uint8Array])[] {
  const records: [string, Uint8Array][] = []
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at)
    const digits = blank < 0 || blank > at + MAX_DIGITS ? '' : ascii(bytes.subarray(at, blank))
    const end = at + Number(digits)
    if (!/^[0-9]+$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a)
      throw broken('a pax record has a wrong length')
    const equals = bytes.indexOf(0x3d, blank)
    if (equals < 0 || equals >= end) throw broken('a pax record has no "="')
    const key = ascii(bytes.subarray(blank + 1, equals))
    // The kernel would take what stands before the NUL for the name of the attribute.
    if (key.includes('\0')) throw broken('a pax record has a NUL in its key')
    records.push([key, bytes.subarray(equals + 1, end - 1)])
    at = end
  }
  return records
}

const MAX_DIGITS = 8
