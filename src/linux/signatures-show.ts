/**
 * A system call as text: flags by name, paths in quotes, results of earlier calls by the name of their slot.
 *
 * `openat2(root, "dev/pts", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT)` is what strace(1) writes, less what a reader can do without: sizes,
 * close-on-exec (coffer sets it everywhere), AT_FDCWD, empty paths, zeros that mean "none". With `isComplete` nothing is left out.
 * Nothing here throws: what the tables do not know is shown as a number.
 */

import { sizeBytesOf } from './bytes.ts'
import type { Argument, Call, Pointer, Slot, Struct } from './call.ts'
import type { Architecture } from './numbers.ts'
import { type Field, type Parameter, type Structure, signatureOf, structureOf } from './signatures.ts'
import { numberText, pointerText } from './signatures-values.ts'
import { wordSet, wordsIn } from './signatures-words.ts'

export interface ShowOptions {
  /** Default x86_64; a few flags of open(2) have other values on aarch64. */
  readonly architecture?: Architecture
  /** Every argument and every flag, and texts in full. */
  readonly isComplete?: boolean
  /** What to call the result of an earlier step; default the name of its slot. */
  readonly slotName?: (slot: Slot) => string
}

export interface ShownArgument {
  readonly name: string
  readonly kind: string
  readonly text: string
}

/** The call with its arguments, e.g. `mkdirat(root, "proc", 0755)`. */
export function callText(call: Call, options: ShowOptions = {}): string {
  const parts = shownPairs(call, options).flatMap(({ parameter, value }) => partsOf(parameter, value, options))
  return `${call.name}(${parts.join(', ')})`
}

/** The complete text of each argument, with its name and kind in signatures.ts; `arg3`, `int` for one without. */
export function argumentTexts(call: Call, options: ShowOptions = {}): readonly ShownArgument[] {
  const complete = { ...options, isComplete: true }
  const parameters = parametersOf(call, complete)
  return call.args.map((value, index) => {
    const parameter = parameters[index] ?? unknownParameter(index)
    return { name: parameter.name, kind: parameter.kind, text: partsOf(parameter, value, complete).join(', ') }
  })
}

interface Pair {
  readonly parameter: Parameter
  readonly value: Argument
}

/** Arguments that are worth showing, with their parameters. */
function shownPairs(call: Call, options: ShowOptions): readonly Pair[] {
  const parameters = parametersOf(call, options)
  const pairs = call.args.map((value, index) => ({ parameter: parameters[index] ?? unknownParameter(index), value }))
  if (options.isComplete) return pairs
  // A directory says nothing if the path does not start there, a path nothing if it is empty and the directory itself is meant.
  return pairs.filter(({ parameter, value }, index) => {
    if (parameter.kind === 'dirfd') return value !== AT_FDCWD || pairs[index + 1]?.value === ''
    const before = pairs[index - 1]
    return !(value === '' && before?.parameter.kind === 'dirfd' && before.value !== AT_FDCWD)
  })
}

const AT_FDCWD = -100

const unknownParameter = (index: number): Parameter => ({
  name: `arg${index}`,
  kind: 'int',
  isOptional: false,
  isSelector: false,
})

/** The parameters of a call; of its variant where an argument selects one. */
function parametersOf(call: Call, options: ShowOptions): readonly Parameter[] {
  let name = call.name
  let parameters = signatureOf(name) ?? []
  for (let index = parameters.findIndex(({ isSelector }) => isSelector); index >= 0; ) {
    const selector = parameters[index]
    const value = call.args[index]
    if (selector === undefined || value === undefined) return parameters
    name = `${name}.${textOf(selector.kind, value, options)}`
    const variant = signatureOf(name)
    if (variant === undefined) return parameters
    parameters = variant
    index = parameters.findIndex(({ isSelector }) => isSelector)
  }
  return parameters
}

/** How an argument or a field shows; nothing if it can be left out, several texts for a structure whose fields go among the arguments. */
function partsOf(parameter: Parameter | Field, value: Argument, options: ShowOptions): readonly string[] {
  const { kind, isOptional } = parameter
  const mayLeaveOut = !options.isComplete
  if (mayLeaveOut && (kind === 'size' || (isOptional && isNothing(value)))) return []
  const structure = typeof value === 'object' ? structureOf(kind) : undefined
  const struct = structure === undefined ? undefined : asStruct(value)
  if (structure !== undefined && struct !== undefined) {
    if (structure.isFlat && mayLeaveOut) return fieldTexts(structure, struct, options, labelled)
    return [`{${fieldTexts(structure, struct, options, named).join(', ')}}`]
  }
  const text = textOf(kind, value, options)
  if (text !== '') return [text]
  return isOptional && mayLeaveOut ? [] : ['0']
}

const isNothing = (value: Argument): boolean => value === 0 || value === 0n || value === ''

const labelled = ({ label }: Field, text: string): string => (label === undefined ? text : `${label}=${text}`)
const named = ({ name }: Field, text: string): string => `${name}=${text}`

function asStruct(value: Argument): Struct | undefined {
  if (value instanceof Uint8Array) return { struct: value, fields: [] }
  return typeof value === 'object' && 'struct' in value ? value : undefined
}

function fieldTexts(
  structure: Structure,
  struct: Struct,
  options: ShowOptions,
  label: (field: Field, text: string) => string,
): readonly string[] {
  return structure.fields.flatMap((field) => {
    const value = fieldValue(struct, field)
    return value === undefined ? [] : partsOf(field, value, options).map((text) => label(field, text))
  })
}

/** What a structure holds in a field: a reference, a number, or bytes for a field longer than 8; undefined behind its end. */
function fieldValue({ struct, fields }: Struct, field: Field): Argument | undefined {
  const reference = fields.find(({ offset }) => offset === field.offset)
  if (reference !== undefined) return reference.value
  const { offset, sizeBytes } = field
  if (offset + sizeBytes > struct.length) return undefined
  if (sizeBytes > 8) return struct.subarray(offset, offset + sizeBytes)
  let value = 0n
  for (let index = sizeBytes - 1; index >= 0; index--) value = value * 256n + BigInt(struct[offset + index] ?? 0)
  const isSigned = field.kind === 'int' || field.kind === 'fd'
  return isSigned ? BigInt.asIntN(sizeBytes * 8, value) : value
}

/** One value as text; '' if it holds only flags that go without saying. */
function textOf(kind: string, value: Argument, options: ShowOptions): string {
  if (typeof value === 'number' || typeof value === 'bigint') return plainNumber(kind, value, options)
  if (isSlot(value)) return slotText(value, options)
  if (typeof value === 'object' && 'lengthOf' in value) return 'length'
  if (typeof value === 'object' && 'sizeOf' in value) return plainNumber(kind, sizeBytesOf(value), options)
  return pointerText(kind, value, {
    isComplete: options.isComplete === true,
    slotText: (slot) => slotText(slot, options),
  })
}

const slotText = (slot: Slot, { slotName }: ShowOptions): string => slotName?.(slot) ?? slot.slot

const isSlot = (value: Exclude<Argument, number | bigint>): value is Slot =>
  typeof value === 'object' && 'slot' in (value as Exclude<Pointer, string> | Slot)

function plainNumber(kind: string, value: number | bigint, options: ShowOptions): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return String(value)
  const set = wordSet(kind, options.architecture ?? 'x86_64')
  if (set === undefined) return numberText(kind, BigInt(value))
  if (!set.isFlags) return wordsIn(BigInt(value), set, { obvious: true })[0] ?? String(value)
  const isComplete = options.isComplete === true
  // `1 << 31` is negative in TypeScript, and one bit for the kernel.
  const bits = value < 0 && value >= -0x8000_0000 ? BigInt.asUintN(32, BigInt(value)) : BigInt(value)
  const words = wordsIn(bits, set, { obvious: isComplete })
  return words.length === 0 && (isComplete || bits === 0n) ? '0' : words.join('|')
}
