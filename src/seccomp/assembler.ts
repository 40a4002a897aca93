/**
 * Builds a classic BPF program from its last instruction to its first, so that every jump knows where it goes.
 *
 * A comparison skips at most 255 instructions. Where that is too few, the target gets a stand-in close by: another return of the same
 * value, or a jump that reaches any distance.
 */

import { OperationError } from '../base/errors.ts'
import { BPF_INSTRUCTION_BYTES, BPF_JMP_JA, BPF_LD_W_ABS, BPF_MAXINSNS, BPF_RET_K } from '../linux/bpf.ts'

/**
 * Where a jump goes: a non-negative number is an instruction, counted from the end of the program; `returning(verdict)` is a return.
 */
export type Target = number

/** The target that returns a verdict, which is made where it is needed. */
export function returning(verdict: number): Target {
  return -1 - verdict
}

/** A program under construction. */
export interface Assembly {
  /** Instructions from the last to the first: `code`, `jt` and `jf` in one number, and `k`. */
  readonly heads: number[]
  readonly operands: number[]
  readonly verdicts: readonly number[]
  /** By verdict: the return of it that was made last, which is the nearest, or -1. */
  readonly returns: number[]
}

/** An empty program that returns the values of `verdicts`. */
export function newAssembly(verdicts: readonly number[]): Assembly {
  return { heads: [], operands: [], verdicts, returns: verdicts.map(() => -1) }
}

// Two targets may each need a stand-in, and the first one moves away by the second.
const REACH = 254

/** Prepends a comparison of the accumulator with `k`; answers its place. */
export function prependJump(
  assembly: Assembly,
  code: number,
  k: number,
  targets: { readonly yes: Target; readonly no: Target },
): Target {
  const yes = nearby(assembly, targets.yes)
  const no = targets.no === targets.yes ? yes : nearby(assembly, targets.no)
  const last = assembly.heads.length - 1
  return prepend(assembly, code + (last - yes) * 0x1_0000 + (last - no) * 0x100_0000, k)
}

/** Prepends the load of a word of `struct seccomp_data`; `next` has to be what was prepended last, or gets a jump to it. */
export function prependLoad(assembly: Assembly, offset: number, next: Target): Target {
  fallThrough(assembly, next)
  return prepend(assembly, BPF_LD_W_ABS, offset)
}

/** Prepends an operation on the accumulator. */
export function prependOperation(assembly: Assembly, code: number, k: number, next: Target): Target {
  fallThrough(assembly, next)
  return prepend(assembly, code, k)
}

/** How many instructions the program has. */
export function instructionCount(assembly: Assembly): number {
  return assembly.heads.length
}

/** The program as the kernel takes it. Throws `unsupported` for one that is longer than it takes. */
export function finishAssembly(assembly: Assembly, byteOrder: 'little' | 'big'): Uint8Array {
  const { heads, operands } = assembly
  const count = heads.length
  if (count > BPF_MAXINSNS) {
    throw new OperationError({
      kind: 'unsupported',
      operation: 'compile the seccomp profile',
      reason: `its filter has ${count} instructions, and Linux takes ${BPF_MAXINSNS}`,
      hint: 'give it fewer rules with args, or fewer architectures',
      see: ['seccomp(2)'],
    })
  }
  const view = new DataView(new ArrayBuffer(count * BPF_INSTRUCTION_BYTES))
  const little = byteOrder === 'little'
  for (let index = 0; index < count; index++) {
    const head = heads[count - 1 - index] as number
    const offset = index * BPF_INSTRUCTION_BYTES
    // Little-endian code, jt and jf are one word, as they were put together.
    if (little) view.setUint32(offset, head, true)
    else view.setUint32(offset, ((head & 0xffff) << 16) | ((head >>> 8) & 0xff00) | (head >>> 24))
    view.setUint32(offset + 4, operands[count - 1 - index] as number, little)
  }
  return new Uint8Array(view.buffer)
}

function prepend(assembly: Assembly, head: number, k: number): number {
  assembly.operands.push(k)
  return assembly.heads.push(head) - 1
}

function nearby(assembly: Assembly, target: Target): number {
  const last = assembly.heads.length - 1
  if (target >= 0) return last - target < REACH ? target : prepend(assembly, BPF_JMP_JA, last - target)
  const verdict = -1 - target
  const made = assembly.returns[verdict] as number
  if (made >= 0 && last - made < REACH) return made
  const place = prepend(assembly, BPF_RET_K, assembly.verdicts[verdict] as number)
  assembly.returns[verdict] = place
  return place
}

function fallThrough(assembly: Assembly, next: Target): void {
  const last = assembly.heads.length - 1
  if (next < 0) prepend(assembly, BPF_RET_K, assembly.verdicts[-1 - next] as number)
  else if (next < last) prepend(assembly, BPF_JMP_JA, last - next)
}
