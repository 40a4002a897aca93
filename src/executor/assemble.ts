/**
 * Plan → the bytes that native/executor.c runs. The layout is native/wire.h; this file, frame.ts,
 * template.ts and report.ts are its only other readers.
 *
 * Written for the embedded engine: numbers go straight into typed arrays, and all strings of a plan are encoded in one go.
 */

import { bug } from '../base/errors.ts'
import { utf8Length } from '../linux/bytes.ts'
import type { Argument, Buffer, Pointer, Size, Struct, Text } from '../linux/call.ts'
import { type Errno, errnoNumber } from '../linux/errno.ts'
import { type Architecture, callNumber } from '../linux/numbers.ts'
import type { Check, Keep, Plan, Step } from '../plan/plan.ts'
import {
  type Assembly,
  addOp,
  bufferAt,
  newAssembly,
  refuseUnset,
  reserveSteps,
  setSlot,
  slotIndex,
} from './assembly.ts'
import { flatten } from './flatten.ts'
import { type LaidOut, layOut } from './frame.ts'
import { refuseTooLarge } from './too-large.ts'
import { ARG_BLOB, ARG_CONSTANT, ARG_SLOT, CALL_NOTHING, DECIMAL_BYTES, NONE, OP, PSEUDO, STEP_WORDS } from './wire.ts'

export interface Assembled extends LaidOut {
  /** By the index that reports use; undefined where the assembler put a jump. */
  readonly steps: readonly (Step | undefined)[]
  readonly slots: ReadonlyMap<string, number>
  readonly reads: readonly Buffer[]
}

export interface AssembleOptions {
  readonly architecture: Architecture
  readonly encode: (text: string) => Uint8Array
  /** Record result and time of each step. */
  readonly trace?: boolean
}

/** Throws `bug` for a call without a number, `invalid` for a plan that is larger than the executor takes. */
export function assemble(plan: Plan, options: AssembleOptions): Assembled {
  // Nearly all plans are all ASCII; the length of the encoded texts tells whether this one is.
  const assembled = assembleWith((text) => text.length, plan, options) ?? assembleWith(utf8Length, plan, options)
  if (assembled === undefined) throw bug('the texts of a plan were encoded to another length than was planned')
  return assembled
}

function assembleWith(
  textLength: (text: string) => number,
  plan: Plan,
  options: AssembleOptions,
): Assembled | undefined {
  const assembly = newAssembly(options.architecture, textLength)
  const mainCount = placeList(assembly, plan.steps)
  for (const wanted of plan.returns ?? []) slotIndex(assembly, wanted)
  refuseUnset(assembly)
  const reads = (plan.reads ?? []).map((read) => ({ at: bufferAt(assembly, read), read }))
  refuseTooLarge('steps', assembly.steps.length)
  refuseTooLarge('operations', assembly.opCount)
  const text = assembly.blob.encodedText(options.encode)
  if (text === undefined) return undefined
  return {
    ...layOut(assembly, { mainCount, reads, text, trace: options.trace ?? false }),
    steps: assembly.steps,
    slots: assembly.slots,
    reads: plan.reads ?? [],
  }
}

// Each step of a plan comes through what is below, so that it counts what is done in it: two thirds of all that the engine interprets for a new
// configuration are here. What most steps and arguments are is asked first, and nothing is made on the way.

/** Puts a list into consecutive places, then the lists that its steps own behind it. Answers how many places the list took. */
function placeList(assembly: Assembly, list: readonly Step[]): number {
  const { steps } = assembly
  const first = steps.length
  const skips: number[] = []
  flatten(list, { steps, skips })
  reserveSteps(assembly)
  const count = skips.length
  for (let index = 0; index < count; index++) {
    const at = (first + index) * STEP_WORDS
    const step = steps[first + index]
    assembly.words[at + 2] = skips[index] ?? 0
    if (step === undefined) writeJump(assembly.words, at)
    else writeStep(assembly, at, step)
  }
  return count
}

function writeJump(words: Uint32Array, at: number): void {
  words[at] = CALL_NOTHING
  words[at + 1] = NONE << 16
}

/** struct step of native/wire.h, as 22 words of 32 bits. */
function writeStep(assembly: Assembly, at: number, step: Step): void {
  const { words, opCount } = assembly
  const { call, into } = step
  words[at] = numberOf(call.name, assembly.architecture)
  const kinds = writeArguments(assembly, call.args, at + 10)
  words[at + 1] = kinds | ((into === undefined ? NONE : setSlot(assembly, into)) << 16)
  if (assembly.opCount !== opCount) words[at + 3] = opCount | ((assembly.opCount - opCount) << 16)
  if (step.check !== undefined || step.keep !== undefined) writeAfter(assembly, step, at)
  if (step.tolerate !== undefined || step.retry !== undefined) writeErrnos(words, step, at)
  if (step.child !== undefined) writeList(assembly, step.child, at + 5)
  if (step.undo !== undefined && step.undo.length > 0) writeList(assembly, step.undo, at + 6)
}

function numberOf(name: string, architecture: Architecture): number {
  const number = callNumber(name, architecture) ?? PSEUDO[name]
  if (number === undefined) throw bug(`the plan calls ${name}, which linux/numbers.ts does not name`)
  return number
}

function writeAfter(assembly: Assembly, step: Step, at: number): void {
  const after = assembly.opCount
  // Checked first: a step that failed its check has kept nothing.
  if (step.check !== undefined) writeCheck(assembly, step.check)
  for (const keep of step.keep ?? []) writeKeep(assembly, keep)
  assembly.words[at + 4] = after | ((assembly.opCount - after) << 16)
}

function writeErrnos(words: Uint32Array, { tolerate, retry }: Step, at: number): void {
  if (tolerate !== undefined) {
    if (tolerate.length > 4) throw bug(`a step tolerates ${tolerate.length} errnos, 4 fit`)
    words[at + 7] = twoErrnos(tolerate[0], tolerate[1])
    words[at + 8] = twoErrnos(tolerate[2], tolerate[3])
  }
  if (retry !== undefined) words[at + 9] = twoErrnos(retry[0], retry[1])
}

const twoErrnos = (first: Errno | undefined, second: Errno | undefined): number =>
  (first === undefined ? 0 : errnoNumber(first)) | (second === undefined ? 0 : errnoNumber(second) << 16)

function writeList(assembly: Assembly, list: readonly Step[], word: number): void {
  const first = assembly.steps.length
  const count = placeList(assembly, list)
  assembly.words[word] = first | (count << 16)
}

function writeArguments(assembly: Assembly, args: readonly Argument[], at: number): number {
  const { words } = assembly
  const count = args.length
  let kinds = 0
  for (let index = 0; index < count; index++) {
    const argument = args[index]
    if (argument === 0 || argument === undefined) continue
    const word = at + index * 2
    if (typeof argument === 'number') {
      words[word] = argument
      if (argument < 0 || argument > 0xffffffff) words[word + 1] = Math.floor(argument / 0x1_0000_0000)
    } else if (typeof argument === 'bigint') {
      words[word] = Number(BigInt.asUintN(32, argument))
      words[word + 1] = Number(BigInt.asUintN(32, argument >> 32n))
    } else kinds |= writeReference(assembly, argument, word) << (2 * index)
  }
  return kinds
}

function writeReference(assembly: Assembly, argument: Exclude<Argument, number | bigint>, word: number): number {
  const { words } = assembly
  if (typeof argument === 'string') {
    assembly.wordFixups.push(word)
    words[word] = assembly.blob.addText(argument)
    return ARG_BLOB
  }
  if ('slot' in argument) {
    words[word] = slotIndex(assembly, argument)
    return ARG_SLOT
  }
  if ('lengthOf' in argument) {
    const length = setSlot(assembly, { slot: LENGTH })
    addOp(assembly, OP.length, length, 0)
    words[word] = length
    return ARG_SLOT
  }
  if ('sizeOf' in argument) {
    words[word] = assembly.blob.textLength(argument.sizeOf)
    assembly.wordSizes.push({ at: word, text: argument.sizeOf })
    return ARG_CONSTANT
  }
  words[word] = place(assembly, argument)
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

function writeKeep(assembly: Assembly, keep: Keep): void {
  const at = bufferAt(assembly, keep.in) + keep.offset
  addOp(assembly, OP.load[keep.sizeBytes], setSlot(assembly, keep.slot), at)
}

function writeCheck(assembly: Assembly, check: Check): void {
  const errno = errnoNumber(check.errno)
  if ('result' in check) writeResultCheck(assembly, errno, check.result)
  else if ('resultAtLeast' in check) addOp(assembly, OP.atLeast, errno, 0, check.resultAtLeast)
  else {
    const at = bufferAt(assembly, check.in) + check.offset
    if ('differs' in check) addOp(assembly, OP.differs, errno, at, check.differs)
    else addOp(assembly, OP.check[check.sizeBytes], errno, at, check.mask ?? 0xffffffff, check.equals)
  }
}

function writeResultCheck(assembly: Assembly, errno: number, result: number | Size): void {
  if (typeof result !== 'number') assembly.opSizes.push({ at: assembly.opCount * 4 + 2, text: result.sizeOf })
  const wanted = typeof result === 'number' ? result : assembly.blob.textLength(result.sizeOf)
  addOp(assembly, OP.equals, errno, 0, wanted)
}
