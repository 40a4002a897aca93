/** The numbers of native/wire.h: magic, sizes, micro-operations and kinds of arguments. */

export const MAGIC = 0x31464f43
export const HEADER_BYTES = 56
/** Words of the header that are set behind its making. */
export const HEADER = { totalBytes: 1, id: 2, flags: 3, blobBytes: 11 } as const
/** Result and time of each step are in the report. */
export const FLAG_TRACE = 1
/** Runs in a process of its own, beside other plans of the same executor. */
export const FLAG_CONCURRENT = 2
export const STEP_WORDS = 22
export const NONE = 0xffff
export const MAX_PLAN_BYTES: number = 16 << 20
export const CALL_NOTHING = 0x10000
export const PSEUDO: Readonly<Record<string, number>> = { nothing: CALL_NOTHING, report: 0x10001 }
export const OP = {
  store4: 1,
  store8: 2,
  address: 3,
  text: 4,
  copy: 5,
  decimal: 6,
  length: 7,
  load: { 1: 8, 2: 9, 4: 10, 8: 11 },
  equals: 12,
  atLeast: 13,
  check: { 1: 14, 2: 15, 4: 16 },
  differs: 17,
} as const
export const ARG_CONSTANT = 0
export const ARG_BLOB = 1
export const ARG_SLOT = 2
/** Digits of a 64-bit number with its sign, and the NUL behind a text. */
export const DECIMAL_BYTES = 21
