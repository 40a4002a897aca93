/**
 * Runs a plan in this very process, for the tools: the front is one thread, so it may make its own namespaces, and becomes the program by
 * execve(2). Nobody of ours is left beside it, and its pid is the one that the caller started.
 *
 * The rules are those of native/executor.c: plan/plan.ts has them. Only here the steps are at hand when one fails, so its words are as well;
 * a child sends its failure through a pipe to the process that asked for the plan, which alone tells of it.
 */

import { bug, OperationError } from '../base/errors.ts'
import type { Native, NativeArgument } from '../base/native.ts'
import { utf8Length } from '../linux/bytes.ts'
import type { Argument, Buffer, Pointer, Slot, Strings, Struct, Text } from '../linux/call.ts'
import { errnoName, errnoNumber } from '../linux/errno.ts'
import { callNumber } from '../linux/numbers.ts'
import { INHERITED_ENVIRONMENT } from '../linux/process.ts'
import type { Check, Keep, Plan, Step } from '../plan/plan.ts'
import { attempt } from './embedded-call.ts'
import { pipe } from './embedded-files.ts'
import { exit } from './embedded-process.ts'
import { type Advise, stepError } from './report.ts'

export interface HereOptions {
  readonly advise?: Advise
  /** Told of each call once it is made, in the process that made it; of execve(2) before that as well, as it may never return. */
  readonly trace?: (step: Step, result: number | undefined, beginNs: number) => void
  /** Answers nanoseconds of one clock; only with `trace`. */
  readonly clock?: () => number
}

export interface RanHere {
  readonly slot: (slot: Slot) => number
  readonly bytes: (buffer: Buffer) => Uint8Array
  /** Throws what a child of the plan could not do. */
  readonly throwFailure: () => void
}

/** Throws the error of the first step that failed, be it in this process or in a child. A plan that ends in execve(2) never answers. */
export function runHere(native: Native, plan: Plan, options: HereOptions = {}): RanHere {
  const here = new Here(native, options)
  try {
    here.list(plan.steps)
  } catch (error) {
    here.throwFailure()
    throw error
  }
  return here
}

const EINTR = 4
const O_NONBLOCK = 0o4000
const ATTEMPTS = 1100
const ATTEMPTS_AT_ONCE = 100

class Here implements RanHere {
  readonly #native: Native
  readonly #options: HereOptions
  readonly #slots = new Map<string, number>()
  readonly #buffers = new Map<string, Uint8Array>()
  /** In the order in which they ran, for the words of a failure. */
  readonly #made: Step[] = []
  /** Arrays of strings that are the same each time: a program is tried at several paths. */
  readonly #arrays = new Map<object, Uint8Array>()
  /** What the arguments of the call that is being made point to. */
  #pinned: Uint8Array[] = []
  #failures: { readonly readEnd: number; readonly writeEnd: number } | undefined

  constructor(native: Native, options: HereOptions) {
    this.#native = native
    this.#options = options
  }

  slot = ({ slot }: Slot): number => {
    const value = this.#slots.get(slot)
    if (value === undefined) throw bug(`no step of the plan has set ${slot}`)
    return value
  }

  bytes = ({ buffer, sizeBytes }: Buffer): Uint8Array => {
    const known = this.#buffers.get(buffer)
    if (known !== undefined) return known
    const made = new Uint8Array(sizeBytes)
    this.#buffers.set(buffer, made)
    return made
  }

  throwFailure = (): void => {
    if (this.#failures === undefined) return
    const bytes = new Uint8Array(4096)
    const length = attempt(this.#native, 'read', this.#failures.readEnd, bytes, bytes.length)
    if (length > 0) throw new OperationError(JSON.parse(this.#native.decode(bytes, 0, length).split('\n')[0] ?? ''))
  }

  list(steps: readonly Step[]): void {
    const done: Step[] = []
    try {
      for (const step of steps) this.#step(step, done)
    } catch (error) {
      for (const { undo } of done.reverse()) this.#undo(undo)
      throw error
    }
  }

  #step(step: Step, done: Step[]): void {
    const { name } = step.call
    const isPseudo = name === 'nothing' || name === 'report'
    const error = isPseudo ? undefined : this.#make(step)
    if (error === undefined) {
      done.push(step)
      this.#made.push(step)
      for (const next of step.then ?? []) this.#step(next, done)
    } else if (step.tolerate?.some((errno) => errno === error)) {
      for (const next of step.otherwise ?? []) this.#step(next, done)
    } else {
      throw stepError(step, error, { before: this.#made, advise: this.#options.advise, bytes: this.bytes })
    }
  }

  #undo(steps: readonly Step[] = []): void {
    for (const step of steps) {
      try {
        this.#step(step, [])
      } catch (error) {
        // As the executor: what cannot be taken back stops nothing, and the cause is told, not its consequences.
        if (!(error instanceof OperationError)) throw error
      }
    }
  }

  /** Answers the errno of a failure. */
  #make(step: Step): string | undefined {
    const { child, into } = step
    if (child !== undefined) this.#failures ??= pipe(this.#native, O_NONBLOCK)
    const begin = this.#options.clock?.() ?? 0
    if (step.call.name.startsWith('execve')) this.#options.trace?.(step, undefined, begin)
    const result = this.#call(step)
    if (child !== undefined && result === 0) this.#beChild(child)
    this.#options.trace?.(step, result, begin)
    if (result < 0 && result >= -4095) return errnoName(-result)
    if (step.check !== undefined && !this.#holds(step.check, result)) return step.check.errno
    if (into !== undefined) this.#slots.set(into.slot, result)
    for (const keep of step.keep ?? []) this.#keep(keep)
    return undefined
  }

  #beChild(steps: readonly Step[]): never {
    try {
      this.list(steps)
    } catch (error) {
      const { writeEnd } = this.#failures ?? { writeEnd: -1 }
      const bytes = this.#native.encode(`${JSON.stringify(fieldsOf(error))}\n`)
      attempt(this.#native, 'write', writeEnd, bytes, bytes.length)
      exit(this.#native, 1)
    }
    exit(this.#native, 0)
  }

  #call({ call: { name, args }, retry = [] }: Step): number {
    const number = callNumber(name, this.#native.architecture)
    if (number === undefined) throw bug(`the plan calls ${name}, which linux/numbers.ts does not name`)
    const again = [EINTR, ...retry.map(errnoNumber)]
    const registers = args.map((argument) => this.#register(argument))
    for (let times = 1; ; times++) {
      const result = this.#native.syscall(number, ...registers)
      if (result < 0 && times < ATTEMPTS && again.includes(-result)) {
        if (times > ATTEMPTS_AT_ONCE) attempt(this.#native, 'nanosleep', Uint32Array.of(0, 0, 1_000_000, 0), null)
        continue
      }
      this.#pinned = []
      return result
    }
  }

  #register(argument: Argument): NativeArgument {
    if (typeof argument === 'number' || typeof argument === 'bigint' || typeof argument === 'string') return argument
    if (argument instanceof Uint8Array) return argument
    if ('slot' in argument)
      return argument.slot === INHERITED_ENVIRONMENT.slot
        ? this.#constant(argument, { strings: this.#native.env })
        : this.slot(argument)
    if ('lengthOf' in argument) return utf8Length(this.#textOf(argument.lengthOf))
    if ('sizeOf' in argument) return utf8Length(argument.sizeOf)
    if ('text' in argument) return this.#textOf(argument)
    if ('buffer' in argument) return this.bytes(argument)
    return 'struct' in argument ? this.#struct(argument) : this.#constant(argument, argument)
  }

  #textOf = ({ text }: Text): string =>
    text.map((piece) => (typeof piece === 'string' ? piece : this.slot(piece))).join('')

  #struct({ struct, fields }: Struct): Uint8Array {
    const bytes = struct.slice()
    const view = new DataView(bytes.buffer)
    for (const { offset, sizeBytes, value } of fields) {
      const number =
        typeof value !== 'string' && 'slot' in value ? this.slot(value) : this.#native.address(this.#pointee(value))
      view.setInt32(offset, number, true)
      if (sizeBytes === 8) view.setInt32(offset + 4, Math.floor(number / 0x1_0000_0000), true)
    }
    this.#pinned.push(bytes)
    return bytes
  }

  #pointee(pointer: Pointer): Uint8Array {
    const found = this.#register(pointer)
    const bytes = typeof found === 'string' ? this.#terminated(found) : found
    if (!(bytes instanceof Uint8Array)) throw bug('a pointer leads to bytes')
    this.#pinned.push(bytes)
    return bytes
  }

  #terminated(text: string): Uint8Array {
    const encoded = this.#native.encode(text)
    const bytes = new Uint8Array(encoded.length + 1)
    bytes.set(encoded)
    return bytes
  }

  #constant(key: object, list: Strings): Uint8Array {
    const known = this.#arrays.get(key)
    if (known !== undefined) return known
    const made = this.#addresses(list)
    if (list.strings.every((one) => typeof one === 'string')) {
      this.#arrays.set(key, made)
      // For as long as the plan runs.
      for (const bytes of this.#pinned) this.#arrays.set(bytes, bytes)
    }
    return made
  }

  #addresses({ strings }: Strings): Uint8Array {
    const bytes = new Uint8Array((strings.length + 1) * 8)
    const view = new DataView(bytes.buffer)
    strings.forEach((one, index) => {
      const address = this.#native.address(this.#pointee(one))
      view.setInt32(index * 8, address, true)
      view.setInt32(index * 8 + 4, Math.floor(address / 0x1_0000_0000), true)
    })
    this.#pinned.push(bytes)
    return bytes
  }

  #holds(check: Check, result: number): boolean {
    if ('result' in check) return result === check.result
    if ('resultAtLeast' in check) return result >= check.resultAtLeast
    const value = integerAt(this.bytes(check.in), check.offset, check.sizeBytes)
    if ('differs' in check) return value >>> 0 !== check.differs >>> 0
    return (value & (check.mask ?? -1)) >>> 0 === check.equals >>> 0
  }

  #keep({ slot, in: from, offset, sizeBytes }: Keep): void {
    this.#slots.set(slot.slot, integerAt(this.bytes(from), offset, sizeBytes))
  }
}

/** As the executor loads them: a descriptor or pid of four bytes may be negative. */
function integerAt(bytes: Uint8Array, offset: number, sizeBytes: 1 | 2 | 4 | 8): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  if (sizeBytes === 1) return view.getUint8(offset)
  if (sizeBytes === 2) return view.getUint16(offset, true)
  if (sizeBytes === 4) return view.getInt32(offset, true)
  return view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true)
}

/** What makes the same error in another process. */
export function fieldsOf(error: unknown): object {
  if (!(error instanceof OperationError))
    return { kind: 'bug', operation: 'run a child of the plan', reason: String(error) }
  const { kind, operation, code, syscall, path, hint, see } = error
  const reason = code === undefined ? error.message.slice(`cannot ${operation}: `.length) : undefined
  return { kind, operation, code, syscall, path, hint, see, reason }
}
