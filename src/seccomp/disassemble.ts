/** A filter as text: one instruction a line, with the names of architectures, calls and verdicts. */

import {
  BPF_ALU_AND_K,
  BPF_JMP_JA,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  BPF_JMP_JSET_K,
  BPF_LD_W_ABS,
  BPF_RET_K,
  type BpfInstruction,
  decodeBpf,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_INSTRUCTION_POINTER,
  SECCOMP_DATA_NR,
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_DATA,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from '../linux/bpf.ts'
import { errnoName } from '../linux/errno.ts'
import { type Architecture, syscallName } from '../linux/syscalls.ts'
import { SECCOMP_ARCHITECTURES } from '../oci/seccomp.ts'
import { architectureOf, auditArch } from './architectures.ts'

/**
 * The program, e.g.
 *
 *        0  load arch
 *        1  if arch == x86_64 go to 3 else 2
 *        2  return KILL_THREAD
 *        3  load nr
 *        4  if nr == 59 (execve) go to 6 else 5
 *
 * What is compared is known from the load before it, along every path that leads there; where paths disagree, it is called `value`.
 */
export function disassemble(filter: Uint8Array, byteOrder: 'little' | 'big' = 'little'): string {
  const program = decodeBpf(filter, byteOrder)
  const states = statesOf(program)
  const lines = program.map((instruction, at) => {
    return `${String(at).padStart(5)}  ${textOf(instruction, at, states[at] ?? unknown, byteOrder)}`
  })
  return `${lines.join('\n')}\n`
}

/** What is known where an instruction begins. */
interface State {
  readonly offset: number | undefined
  readonly mask: number
  readonly architecture: Architecture | undefined
}

const ALL_BITS = 0xffff_ffff
const unknown: State = { offset: undefined, mask: ALL_BITS, architecture: undefined }

/** Jumps go forwards only, so one pass sees every way to an instruction before the instruction. */
function statesOf(program: readonly BpfInstruction[]): readonly (State | undefined)[] {
  const states: (State | undefined)[] = [unknown]
  const flow = (to: number, state: State): void => {
    const before = states[to]
    states[to] = before === undefined ? state : common(before, state)
  }
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    const state = states[at]
    if (state === undefined || code === BPF_RET_K) continue
    if (code === BPF_LD_W_ABS) flow(at + 1, { ...state, offset: k, mask: ALL_BITS })
    else if (code === BPF_ALU_AND_K) flow(at + 1, { ...state, mask: (state.mask & k) >>> 0 })
    else if (code === BPF_JMP_JA) flow(at + 1 + k, state)
    else {
      const isArch = code === BPF_JMP_JEQ_K && state.offset === SECCOMP_DATA_ARCH
      flow(at + 1 + jt, isArch ? { ...state, architecture: architectureWith(k) } : state)
      flow(at + 1 + jf, state)
    }
  }
  return states
}

function common(a: State, b: State): State {
  const sameValue = a.offset === b.offset && a.mask === b.mask
  return {
    offset: sameValue ? a.offset : undefined,
    mask: sameValue ? a.mask : ALL_BITS,
    architecture: a.architecture === b.architecture ? a.architecture : undefined,
  }
}

function textOf({ code, jt, jf, k }: BpfInstruction, at: number, state: State, byteOrder: 'little' | 'big'): string {
  switch (code) {
    case BPF_LD_W_ABS:
      return `load ${fieldName(k, byteOrder)}`
    case BPF_ALU_AND_K:
      return `and 0x${k.toString(16)}`
    case BPF_RET_K:
      return `return ${verdictText(k)}`
    case BPF_JMP_JA:
      return `go to ${at + 1 + k}`
    default: {
      const operator = operatorOf(code)
      if (operator === undefined) return `unknown operation 0x${code.toString(16)}, ${jt}, ${jf}, ${k}`
      return `if ${valueText(state, byteOrder)} ${operator} ${operandText(k, state)} go to ${at + 1 + jt} else ${at + 1 + jf}`
    }
  }
}

function operatorOf(code: number): string | undefined {
  switch (code) {
    case BPF_JMP_JEQ_K:
      return '=='
    case BPF_JMP_JGT_K:
      return '>'
    case BPF_JMP_JGE_K:
      return '>='
    case BPF_JMP_JSET_K:
      return 'has bits of'
    default:
      return undefined
  }
}

function valueText({ offset, mask }: State, byteOrder: 'little' | 'big'): string {
  if (offset === undefined) return 'value'
  const name = fieldName(offset, byteOrder)
  return mask === ALL_BITS ? name : `(${name} & 0x${mask.toString(16)})`
}

function fieldName(offset: number, byteOrder: 'little' | 'big'): string {
  if (offset === SECCOMP_DATA_NR) return 'nr'
  if (offset === SECCOMP_DATA_ARCH) return 'arch'
  const half = (offset % 8 === 0) === (byteOrder === 'little') ? 'low' : 'high'
  if (offset < SECCOMP_DATA_ARGS) {
    return offset < SECCOMP_DATA_INSTRUCTION_POINTER ? `word ${offset}` : `instruction_pointer.${half}`
  }
  return `args[${(offset - SECCOMP_DATA_ARGS) >> 3}].${half}`
}

function operandText(k: number, { offset, architecture }: State): string {
  if (offset === SECCOMP_DATA_ARCH) return architectureWith(k) ?? `0x${k.toString(16)}`
  if (offset !== SECCOMP_DATA_NR) return `0x${k.toString(16)}`
  const number = k >= 0x4000_0000 ? `0x${k.toString(16)}` : String(k)
  const name = architecture === undefined ? undefined : syscallName(x32Of(architecture, k), k)
  return name === undefined ? number : `${number} (${name})`
}

function x32Of(architecture: Architecture, number: number): Architecture {
  return architecture === 'x86_64' && number >= 0x4000_0000 ? 'x32' : architecture
}

function architectureWith(value: number): Architecture | undefined {
  const found = SECCOMP_ARCHITECTURES.find(
    (name) => name !== 'SCMP_ARCH_X32' && auditArch(architectureOf(name)) === value,
  )
  return found === undefined ? undefined : architectureOf(found)
}

/** `ALLOW`, `ERRNO(EPERM)`, `TRACE(7)`: a returned value in the words of seccomp(2). */
export function verdictText(value: number): string {
  const action = (value & SECCOMP_RET_ACTION_FULL) >>> 0
  const data = value & SECCOMP_RET_DATA
  switch (action) {
    case SECCOMP_RET_KILL_PROCESS:
      return 'KILL_PROCESS'
    case SECCOMP_RET_KILL_THREAD:
      return 'KILL_THREAD'
    case SECCOMP_RET_TRAP:
      return 'TRAP'
    case SECCOMP_RET_ERRNO:
      return `ERRNO(${data === 0 ? '0' : errnoName(data)})`
    case SECCOMP_RET_USER_NOTIF:
      return 'USER_NOTIF'
    case SECCOMP_RET_TRACE:
      return `TRACE(${data})`
    case SECCOMP_RET_LOG:
      return 'LOG'
    case SECCOMP_RET_ALLOW:
      return 'ALLOW'
    default:
      return `0x${value.toString(16)}`
  }
}
