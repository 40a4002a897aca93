/** Standard input as text, to its end. */

import type { Native } from '../base/native.ts'
import { read } from '../executor/embedded-files.ts'

const STDIN = 0
const PIECE_BYTES = 65536

export function readAllInput(native: Native): string {
  let all = new Uint8Array(0)
  const piece = new Uint8Array(PIECE_BYTES)
  for (let got = read(native, STDIN, piece); got > 0; got = read(native, STDIN, piece)) {
    const longer = new Uint8Array(all.length + got)
    longer.set(all)
    longer.set(piece.subarray(0, got), all.length)
    all = longer
  }
  return native.decode(all)
}
