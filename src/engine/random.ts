/** Names that nobody else has: getrandom(2). */

import type { Native } from '../base/native.ts'
import { must } from '../executor/embedded-call.ts'

/** docker's ids are 64 hexadecimal digits. */
export const newId = (native: Native): string => randomHex(native, 32)

export const randomHex = (native: Native, bytes: number): string =>
  [...randomBytes(native, bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

export function randomBytes(native: Native, count: number): Uint8Array {
  const bytes = new Uint8Array(count)
  must(native, 'get random bytes', 'getrandom', bytes, count, 0)
  return bytes
}
