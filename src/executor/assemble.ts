/**
 * Plan → the bytes that native/executor.c runs. The layout is native/wire.h; this file and report.ts are its only other readers.
 *
 * Written for the embedded engine: numbers go straight into typed arrays, and all strings of a plan are encoded in one go.
 */

import { bug } from '../base/errors.ts'
import type { Argument, Buffer, Pointer, Slot, Struct, Text } from '../linux/call.ts'
import { errnoNumber } from '../linux/errno.ts'
import { type Architecture, callNumber } from '../linux/numbers.ts'
import type { Check, Keep, Plan, Step } from '../plan/plan.ts'
import { Blob } from './blob.ts'
import { flatten, type Placed } from './flatten.ts'
import {
  ARG_BLOB,
  ARG_CONSTANT,
  ARG_SLOT,
  CALL_NOTHING,
  DECIMAL_BYTES,
  HEADER_BYTES,
  MAGIC,
  NONE,
  OP,
  PSEUDO,
  STEP_WORDS,
} from './wire.ts'

export interface Assembled {
  readonly frame: Uint8Array
  /** By the index that reports use; undefined where the assembler put a jump. */
  readonly steps: readonly (Step | undefined)[]
  readonly slots: ReadonlyMap<string, number>
  readonly reads: readonly Buffer[]
  /** For template.ts: where the frame depends on its texts. */
  readonly texts: TextPlaces
}

/** All texts of a plan are the last part of its frame, each with a NUL behind it. Places count words of 32 bits from the start of the frame. */
export interface TextPlaces {
  readonly list: () => readonly string[]
  /** Where the texts begin: in the frame, and in the blob. */
  readonly at: number
  readonly inBlob: number
  /** Words that hold the offset of a text in the blob. */
  readonly offsets: () => readonly number[]
  /** Words that hold the length of a text, and that text. */
  readonly sizes: () => readonly { readonly at: number; readonly text: string }[]
  /** Texts whose length is part of the layout of the blob. */
  readonly fixed: readonly string[]
}

export interface AssembleOptions {
  readonly architecture: Architecture
  readonly encode: (text: string) => Uint8Array
  /** Answers with this in the report, so that concurrent plans can be told apart. */
  readonly id?: number
  /** Run in a process of its own, beside other plans of the same executor. */
  readonly concurrent?: boolean
  /** Record result and time of each step. */
  readonly trace?: boolean
}

/** Everything that grows while a plan is assembled. */
interface Assembly {
  readonly architecture: Architecture
  readonly blob: Blob
  readonly slots: Map<string, number>
  /** By the index of a slot: some step sets it. */
  readonly isSet: boolean[]
  readonly buffers: Map<string, number>
  readonly steps: (Step | undefined)[]
  words: Uint32Array
  ops: Uint32Array
  opCount: number
  /** Places in `ops` and `words` that hold an offset into the text half of the blob. */
  readonly opFixups: number[]
  readonly wordFixups: number[]
  /** Places in `words` that hold the length of a text. */
  readonly sizes: { readonly at: number; readonly text: string }[]
  /** Pieces of texts that are put together when the plan runs. */
  readonly pieces: string[]
}

/** Throws `bug` for a call without a number and for a plan with more steps or slots than a frame can hold. */
export function assemble(plan: Plan, options: AssembleOptions): Assembled {
  const assembly: Assembly = {
    architecture: options.architecture,
    blob: new Blob(),
    slots: new Map(),
    isSet: [],
    buffers: new Map(),
    steps: [],
    words: new Uint32Array(512 * STEP_WORDS),
    ops: new Uint32Array(512 * 4),
    opCount: 0,
    opFixups: [],
    wordFixups: [],
    sizes: [],
    pieces: [],
  }
  const mainCount = placeList(assembly, plan.steps)
  for (const wanted of plan.returns ?? []) slotIndex(assembly, wanted)
  refuseUnset(assembly)
  const reads = (plan.reads ?? []).map((read) => ({ at: bufferAt(assembly, read), read }))
  if (assembly.steps.length >= NONE || assembly.opCount >= NONE)
    throw bug(`a plan of ${assembly.steps.length} steps does not fit into a frame`)
  return {
    ...layOut(assembly, { mainCount, reads, options }),
    steps: assembly.steps,
    slots: assembly.slots,
    reads: plan.reads ?? [],
  }
}

/** Puts a list into consecutive places, then the lists that its steps own behind it. Answers how many places the list took. */
function placeList(assembly: Assembly, list: readonly Step[]): number {
  const placed: Placed[] = []
  flatten(list, placed)
  const first = assembly.steps.length
  for (const { step } of placed) assembly.steps.push(step)
  reserveSteps(assembly)
  placed.forEach((one, index) => {
    writeStep(assembly, first + index, one)
  })
  return placed.length
}

function reserveSteps(assembly: Assembly): void {
  const needed = assembly.steps.length * STEP_WORDS
  if (needed > assembly.words.length) assembly.words = grown(assembly.words, needed)
}

function grown(words: Uint32Array, needed: number): Uint32Array {
  const larger = new Uint32Array(Math.max(needed, words.length * 2))
  larger.set(words)
  return larger
}

/** struct step of native/wire.h, as 22 words of 32 bits. */
function writeStep(assembly: Assembly, index: number, { step, skipOk, skipError }: Placed): void {
  const at = index * STEP_WORDS
  const { words } = assembly
  words[at + 2] = skipOk | (skipError << 16)
  if (step === undefined) {
    words[at] = CALL_NOTHING
    words[at + 1] = NONE << 16
    return
  }
  words[at] = numberOf(step, assembly.architecture)
  const into = step.into === undefined ? NONE : setSlot(assembly, step.into)
  const before = assembly.opCount
  const kinds = writeArguments(assembly, step.call.args, at + 10)
  words[at + 1] = kinds | (into << 16)
  words[at + 3] = before | ((assembly.opCount - before) << 16)
  writeAfter(assembly, step, at)
  writeErrnos(words, step, at)
  writeLists(assembly, step, at)
}

function numberOf(step: Step, architecture: Architecture): number {
  const { name } = step.call
  const number = callNumber(name, architecture) ?? PSEUDO[name]
  if (number === undefined) throw bug(`the plan calls ${name}, which linux/numbers.ts does not name`)
  return number
}

function writeAfter(assembly: Assembly, step: Step, at: number): void {
  if (step.keep === undefined && step.check === undefined) return
  const after = assembly.opCount
  // Checked first: a step that failed its check has kept nothing.
  if (step.check !== undefined) writeCheck(assembly, step.check)
  for (const keep of step.keep ?? []) writeKeep(assembly, keep)
  assembly.words[at + 4] = after | ((assembly.opCount - after) << 16)
}

function writeErrnos(words: Uint32Array, { tolerate, retry }: Step, at: number): void {
  if (tolerate !== undefined) {
    if (tolerate.length > 4) throw bug(`a step tolerates ${tolerate.length} errnos, 4 fit`)
    const [a = 0, b = 0, c = 0, d = 0] = tolerate.map(errnoNumber)
    words[at + 7] = a | (b << 16)
    words[at + 8] = c | (d << 16)
  }
  if (retry !== undefined) {
    const [a = 0, b = 0] = retry.map(errnoNumber)
    words[at + 9] = a | (b << 16)
  }
}

function writeLists(assembly: Assembly, step: Step, at: number): void {
  if (step.child !== undefined) {
    const first = assembly.steps.length
    const count = placeList(assembly, step.child)
    assembly.words[at + 5] = first | (count << 16)
  }
  if (step.undo !== undefined && step.undo.length > 0) {
    const first = assembly.steps.length
    const count = placeList(assembly, step.undo)
    assembly.words[at + 6] = first | (count << 16)
  }
}

function writeArguments(assembly: Assembly, args: readonly Argument[], at: number): number {
  let kinds = 0
  for (let index = 0; index < args.length; index++) {
    const word = at + index * 2
    const argument = args[index]
    if (typeof argument === 'number') {
      if (argument !== 0) setNumber(assembly.words, word, argument)
    } else if (typeof argument === 'bigint') {
      assembly.words[word] = Number(BigInt.asUintN(32, argument))
      assembly.words[word + 1] = Number(BigInt.asUintN(32, argument >> 32n))
    } else if (argument !== undefined) {
      kinds |= writeReference(assembly, argument, word) << (2 * index)
    }
  }
  return kinds
}

function setNumber(words: Uint32Array, at: number, value: number): void {
  words[at] = value
  if (value < 0 || value > 0xffffffff) words[at + 1] = Math.floor(value / 0x1_0000_0000)
}

function writeReference(assembly: Assembly, argument: Exclude<Argument, number | bigint>, word: number): number {
  if (typeof argument !== 'string' && 'slot' in argument) {
    assembly.words[word] = slotIndex(assembly, argument)
    return ARG_SLOT
  }
  if (typeof argument !== 'string' && 'lengthOf' in argument) {
    const length = setSlot(assembly, { slot: LENGTH })
    addOp(assembly, OP.length, length, 0)
    assembly.words[word] = length
    return ARG_SLOT
  }
  if (typeof argument !== 'string' && 'sizeOf' in argument) {
    assembly.words[word] = assembly.blob.textLength(argument.sizeOf)
    assembly.sizes.push({ at: word, text: argument.sizeOf })
    return ARG_CONSTANT
  }
  if (typeof argument === 'string') assembly.wordFixups.push(word)
  assembly.words[word] = place(assembly, argument)
  return ARG_BLOB
}

/** One hidden slot serves all lengths: each is used by the call that it is made for. */
const LENGTH = ' length'

/** Puts what a pointer points to into the blob. The offset of a string is within the text half, of anything else within the other. */
function place(assembly: Assembly, pointer: Pointer): number {
  if (typeof pointer === 'string') return assembly.blob.addText(pointer)
  if (pointer instanceof Uint8Array) return assembly.blob.addBytes(pointer)
  if ('buffer' in pointer) return bufferAt(assembly, pointer)
  if ('text' in pointer) return placeText(assembly, pointer)
  if ('struct' in pointer) return placeStruct(assembly, pointer)
  const at = assembly.blob.reserve((pointer.strings.length + 1) * 8)
  pointer.strings.forEach((value, index) => {
    addAddress(assembly, at + index * 8, value)
  })
  return at
}

function placeText(assembly: Assembly, { text }: Text): number {
  let room = 1
  for (const piece of text) room += typeof piece === 'string' ? assembly.blob.textLength(piece) : DECIMAL_BYTES
  const at = assembly.blob.reserve(room)
  addOp(assembly, OP.text, 0, at, 0, room)
  for (const piece of text) {
    if (typeof piece !== 'string') {
      addOp(assembly, OP.decimal, slotIndex(assembly, piece), 0)
    } else if (piece !== '') {
      assembly.opFixups.push(assembly.opCount * 4 + 2)
      assembly.pieces.push(piece)
      addOp(assembly, OP.copy, 0, 0, assembly.blob.addText(piece), assembly.blob.textLength(piece))
    }
  }
  return at
}

function placeStruct(assembly: Assembly, { struct, fields }: Struct): number {
  const at = assembly.blob.addBytes(struct)
  for (const { offset, sizeBytes, value } of fields) {
    if (typeof value !== 'string' && 'slot' in value)
      addOp(assembly, sizeBytes === 8 ? OP.store8 : OP.store4, slotIndex(assembly, value), at + offset)
    else addAddress(assembly, at + offset, value)
  }
  return at
}

function addAddress(assembly: Assembly, at: number, pointer: Pointer): void {
  const target = place(assembly, pointer)
  if (typeof pointer === 'string') assembly.opFixups.push(assembly.opCount * 4 + 2)
  addOp(assembly, OP.address, 0, at, target)
}

function addOp(assembly: Assembly, kind: number, slotOrErrno: number, at: number, a = 0, b = 0): void {
  const word = assembly.opCount * 4
  if (word + 4 > assembly.ops.length) assembly.ops = grown(assembly.ops, word + 4)
  const { ops } = assembly
  ops[word] = kind | (slotOrErrno << 16)
  ops[word + 1] = at
  ops[word + 2] = a
  ops[word + 3] = b
  assembly.opCount++
}

function writeKeep(assembly: Assembly, keep: Keep): void {
  const at = bufferAt(assembly, keep.in) + keep.offset
  addOp(assembly, OP.load[keep.sizeBytes], setSlot(assembly, keep.slot), at)
}

function writeCheck(assembly: Assembly, check: Check): void {
  const errno = errnoNumber(check.errno)
  if ('result' in check) addOp(assembly, OP.equals, errno, 0, check.result)
  else if ('resultAtLeast' in check) addOp(assembly, OP.atLeast, errno, 0, check.resultAtLeast)
  else {
    const at = bufferAt(assembly, check.in) + check.offset
    if ('differs' in check) addOp(assembly, OP.differs, errno, at, check.differs)
    else addOp(assembly, OP.check[check.sizeBytes], errno, at, check.mask ?? 0xffffffff, check.equals)
  }
}

function slotIndex({ slots }: Assembly, { slot }: Slot): number {
  const known = slots.get(slot)
  if (known !== undefined) return known
  slots.set(slot, slots.size)
  return slots.size - 1
}

function setSlot(assembly: Assembly, slot: Slot): number {
  const index = slotIndex(assembly, slot)
  assembly.isSet[index] = true
  return index
}

/** A slot that nothing sets is 0, which is a descriptor: standard input. */
function refuseUnset({ slots, isSet }: Assembly): void {
  for (const [name, index] of slots) if (isSet[index] !== true) throw bug(`no step of the plan sets ${name}`)
}

function bufferAt({ buffers, blob }: Assembly, { buffer, sizeBytes }: Buffer): number {
  const known = buffers.get(buffer)
  if (known !== undefined) return known
  const at = blob.reserve(sizeBytes)
  buffers.set(buffer, at)
  return at
}

interface Rest {
  readonly mainCount: number
  readonly reads: readonly { readonly at: number; readonly read: Buffer }[]
  readonly options: AssembleOptions
}

/** Header, steps, operations, reads, blob; struct plan of native/wire.h. */
function layOut(assembly: Assembly, { mainCount, reads, options }: Rest): Pick<Assembled, 'frame' | 'texts'> {
  const { words, ops, blob } = assembly
  const textBase = blob.bytesLength
  for (const at of assembly.wordFixups) words[at] = (words[at] ?? 0) + textBase
  for (const at of assembly.opFixups) ops[at] = (ops[at] ?? 0) + textBase
  const text = blob.encodedText(options.encode)
  const stepBytes = assembly.steps.length * STEP_WORDS * 4
  const opBytes = assembly.opCount * 16
  const opsAt = HEADER_BYTES + stepBytes
  const readsAt = opsAt + opBytes
  const blobAt = readsAt + reads.length * 8
  const frame = new Uint8Array(Math.ceil((blobAt + textBase + text.length) / 8) * 8)
  const header = new Uint32Array(frame.buffer, 0, blobAt / 4)
  const flags = (options.trace ? 1 : 0) | (options.concurrent ? 2 : 0)
  header.set([MAGIC, frame.length, options.id ?? 0, flags, HEADER_BYTES, assembly.steps.length])
  header.set([opsAt, assembly.opCount, readsAt, reads.length, blobAt], 6)
  header.set([frame.length - blobAt, mainCount, assembly.slots.size], 11)
  header.set(words.subarray(0, stepBytes / 4), HEADER_BYTES / 4)
  header.set(ops.subarray(0, opBytes / 4), opsAt / 4)
  reads.forEach(({ at, read }, index) => {
    header.set([at, read.sizeBytes], readsAt / 4 + index * 2)
  })
  blob.copyBytes(frame, blobAt)
  frame.set(text, blobAt + textBase)
  const texts: TextPlaces = {
    list: () => blob.texts(),
    at: blobAt + textBase,
    inBlob: textBase,
    offsets: () => [
      ...assembly.wordFixups.map((word) => HEADER_BYTES / 4 + word),
      ...assembly.opFixups.map((word) => opsAt / 4 + word),
    ],
    sizes: () => assembly.sizes.map(({ at, text }) => ({ at: HEADER_BYTES / 4 + at, text })),
    fixed: assembly.pieces,
  }
  return { frame, texts }
}
