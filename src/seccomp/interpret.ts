/** Runs a filter as the kernel would: what happens to one call, without making it. Source: seccomp(2); kernel/bpf/core.c. */

import { OperationError } from '../base/errors.ts'
import {
  BPF_ALU_AND_K,
  BPF_INSTRUCTION_BYTES,
  BPF_JMP_JA,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  BPF_JMP_JSET_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_BYTES,
  SECCOMP_DATA_INSTRUCTION_POINTER,
  SECCOMP_DATA_NR,
} from '../linux/bpf.ts'

/** `struct seccomp_data`: what a filter sees of a call. */
export interface SeccompCall {
  /** The number; -1 is the call that a tracer skips. */
  readonly nr: number
  /** `AUDIT_ARCH_*`, see `auditArch`. */
  readonly arch: number
  /** Up to six, as unsigned 64-bit values; a number has to be a non-negative integer below 2^53. Missing ones are 0. */
  readonly args?: readonly (number | bigint)[]
  readonly instructionPointer?: number | bigint
}

/** What a filter returned. */
export interface Verdict {
  /** `SECCOMP_RET_*` with its data. */
  readonly value: number
  /** How many instructions ran. */
  readonly instructions: number
}

/**
 * Runs `filter` for one call.
 *
 * Throws `invalid` for a program that the kernel would not load: an operation that this interpreter does not know, a load outside of
 * `struct seccomp_data`, a jump beyond the end.
 */
export function runFilter(filter: Uint8Array, call: SeccompCall, byteOrder: 'little' | 'big' = 'little'): Verdict {
  const little = byteOrder === 'little'
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const input = inputOf(call, little)
  let accumulator = 0
  let instructions = 0
  for (let at = 0; at + BPF_INSTRUCTION_BYTES <= filter.byteLength; at += BPF_INSTRUCTION_BYTES) {
    instructions++
    const code = program.getUint16(at, little)
    const k = program.getUint32(at + 4, little)
    switch (code) {
      case BPF_RET_K:
        return { value: k, instructions }
      case BPF_LD_W_ABS:
        if (k % 4 !== 0 || k >= SECCOMP_DATA_BYTES) throw refusal(at, `loads from offset ${k}`)
        accumulator = input.getUint32(k, little)
        break
      case BPF_ALU_AND_K:
        accumulator = (accumulator & k) >>> 0
        break
      case BPF_JMP_JA:
        at += k * BPF_INSTRUCTION_BYTES
        break
      default:
        at += program.getUint8(at + (holds(code, accumulator, k, at) ? 2 : 3)) * BPF_INSTRUCTION_BYTES
    }
  }
  throw refusal(filter.byteLength, 'is not there')
}

function holds(code: number, accumulator: number, k: number, at: number): boolean {
  switch (code) {
    case BPF_JMP_JEQ_K:
      return accumulator === k
    case BPF_JMP_JGT_K:
      return accumulator > k
    case BPF_JMP_JGE_K:
      return accumulator >= k
    case BPF_JMP_JSET_K:
      return (accumulator & k) !== 0
    default:
      throw refusal(at, `has the operation 0x${code.toString(16)}`)
  }
}

function inputOf({ nr, arch, args = [], instructionPointer = 0 }: SeccompCall, little: boolean): DataView {
  const view = new DataView(new ArrayBuffer(SECCOMP_DATA_BYTES))
  view.setUint32(SECCOMP_DATA_NR, nr, little)
  view.setUint32(SECCOMP_DATA_ARCH, arch, little)
  setWord(view, SECCOMP_DATA_INSTRUCTION_POINTER, instructionPointer, little)
  for (let index = 0; index < args.length && index < 6; index++) {
    setWord(view, SECCOMP_DATA_ARGS + index * 8, args[index] as number | bigint, little)
  }
  return view
}

function setWord(view: DataView, offset: number, value: number | bigint, little: boolean): void {
  const high = typeof value === 'bigint' ? Number((value >> 32n) & 0xffff_ffffn) : Math.floor(value / 0x1_0000_0000)
  const low = typeof value === 'bigint' ? Number(value & 0xffff_ffffn) : value >>> 0
  view.setUint32(offset + (little ? 0 : 4), low, little)
  view.setUint32(offset + (little ? 4 : 0), high, little)
}

function refusal(at: number, reason: string): OperationError {
  return new OperationError({
    kind: 'invalid',
    operation: 'run the seccomp filter',
    reason: `instruction ${at / BPF_INSTRUCTION_BYTES} ${reason}`,
    see: ['seccomp(2)'],
  })
}
