/**
 * A system call as data: its name and its arguments.
 *
 * Some arguments are known only when the call is made: the result of an earlier one (`Slot`), bytes that the kernel fills in (`Buffer`),
 * text with a number in it (`Text`). They are named here and given a place by executor/assemble.
 */

/** The result of an earlier call, by name: an fd, a pid, a length. */
export interface Slot {
  readonly slot: string
}

/** Text that holds results of earlier calls in decimal, e.g. `/proc/<pid>/uid_map`; passed as a NUL-terminated string. */
export interface Text {
  readonly text: readonly (string | Slot)[]
}

/** The length in bytes of a text, known when it is made; the text must be an argument of the same call. */
export interface Length {
  readonly lengthOf: Text
}

/** The length in bytes of a string, which may come to be known only when the plan is run (executor/template.ts). */
export interface Size {
  readonly sizeOf: string
}

/** Bytes that a call writes and a later call, a check or the report reads; the same name is the same bytes within one plan. */
export interface Buffer {
  readonly buffer: string
  readonly sizeBytes: number
}

/** A C structure: its bytes, and the fields in it that hold results or pointers. */
export interface Struct {
  readonly struct: Uint8Array
  readonly fields: readonly StructField[]
}

/** `sizeBytes` is 4 or 8 for a slot, 8 for a pointer. */
export interface StructField {
  readonly offset: number
  readonly sizeBytes: 4 | 8
  readonly value: Slot | Pointer
}

/** A NULL-terminated array of strings, as execve(2) takes. */
export interface Strings {
  readonly strings: readonly (string | Text)[]
}

/** What is passed by address. */
export type Pointer = string | Uint8Array | Text | Buffer | Struct | Strings

/** Numbers go as 64-bit integers; -1 is all ones. A bigint is for what a double cannot hold. */
export type Argument = number | bigint | Slot | Length | Size | Pointer

/** One system call, not yet made. `name` is the kernel's. */
export interface Call {
  readonly name: string
  readonly args: readonly Argument[]
}

export const slot = (name: string): Slot => ({ slot: name })
export const text = (...pieces: readonly (string | Slot)[]): Text => ({ text: pieces })
export const buffer = (name: string, sizeBytes: number): Buffer => ({ buffer: name, sizeBytes })
export const sizeOf = (text: string): Size => ({ sizeOf: text })
export const strings = (list: readonly (string | Text)[]): Strings => ({ strings: list })
