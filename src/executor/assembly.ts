/** What grows while a plan is assembled: steps and operations as words of 32 bits, slots, and the memory of the plan. */

import { bug } from '../base/errors.ts'
import type { Buffer, Slot } from '../linux/call.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Step } from '../plan/plan.ts'
import { Blob } from './blob.ts'
import { STEP_WORDS } from './wire.ts'

export interface Assembly {
  readonly architecture: Architecture
  readonly blob: Blob
  readonly slots: Map<string, number>
  /** By the index of a slot: some step sets it. */
  readonly isSet: boolean[]
  readonly buffers: Map<string, number>
  readonly steps: (Step | undefined)[]
  words: Uint32Array
  readonly ops: number[]
  opCount: number
  /** Places in `ops` and `words` that hold an offset into the text half of the blob. */
  readonly opFixups: number[]
  readonly wordFixups: number[]
  /** Places in `ops` and `words` that hold the length of a text. */
  readonly opSizes: SizePlace[]
  readonly wordSizes: SizePlace[]
  /** Pieces of texts that are put together when the plan runs. */
  readonly pieces: string[]
}

export interface SizePlace {
  readonly at: number
  readonly text: string
}

export function newAssembly(architecture: Architecture, textLength: (text: string) => number): Assembly {
  return {
    architecture,
    blob: new Blob(textLength),
    slots: new Map(),
    isSet: [],
    buffers: new Map(),
    steps: [],
    words: new Uint32Array(512 * STEP_WORDS),
    ops: [],
    opCount: 0,
    opFixups: [],
    wordFixups: [],
    opSizes: [],
    wordSizes: [],
    pieces: [],
  }
}

export function reserveSteps(assembly: Assembly): void {
  const needed = assembly.steps.length * STEP_WORDS
  if (needed > assembly.words.length) assembly.words = grown(assembly.words, needed)
}

function grown(words: Uint32Array, needed: number): Uint32Array {
  const larger = new Uint32Array(Math.max(needed, words.length * 2))
  larger.set(words)
  return larger
}

export function addOp(assembly: Assembly, kind: number, slotOrErrno: number, at: number, a = 0, b = 0): void {
  assembly.ops.push(kind | (slotOrErrno << 16), at, a, b)
  assembly.opCount++
}

export function slotIndex({ slots }: Assembly, { slot }: Slot): number {
  const known = slots.get(slot)
  if (known !== undefined) return known
  slots.set(slot, slots.size)
  return slots.size - 1
}

export function setSlot(assembly: Assembly, slot: Slot): number {
  const index = slotIndex(assembly, slot)
  assembly.isSet[index] = true
  return index
}

/** A slot that nothing sets is 0, which is a descriptor: standard input. */
export function refuseUnset({ slots, isSet }: Assembly): void {
  for (const [name, index] of slots) if (isSet[index] !== true) throw bug(`no step of the plan sets ${name}`)
}

export function bufferAt({ buffers, blob }: Assembly, { buffer, sizeBytes }: Buffer): number {
  const known = buffers.get(buffer)
  if (known !== undefined) return known
  const at = blob.reserve(sizeBytes)
  buffers.set(buffer, at)
  return at
}
