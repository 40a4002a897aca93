/**
 * eBPF, as far as a device program of cgroup v2 needs it: instructions as bytes, and the calls that load and attach a program.
 *
 * | bytes | field               | meaning                                                     |
 * |-------|---------------------|-------------------------------------------------------------|
 * | 0     | opcode              |                                                             |
 * | 1     | registers           | destination in the low four bits, source in the high four   |
 * | 2-3   | offset              | of a load in bytes, of a jump in instructions behind it     |
 * | 4-7   | immediate           | the constant operand                                        |
 *
 * Sources: kernel:bpf/standardization/instruction-set.rst, include/uapi/linux/bpf.h, bpf(2)
 */

import type { Buffer, Call, Pointer, Slot, Struct, StructField } from './call.ts'

export interface EbpfInstruction {
  readonly opcode: number
  readonly destination: number
  readonly source: number
  readonly offset: number
  readonly immediate: number
}

export const EBPF_INSTRUCTION_BYTES = 8

const BPF_LDX_W = 0x61
const BPF_ALU64_OR_X = 0x4f
const BPF_ALU64_AND_K = 0x57
const BPF_ALU64_LSH_K = 0x67
const BPF_ALU64_RSH_K = 0x77
const BPF_ALU64_MOV_X = 0xbf
const BPF_ALU64_MOV_K = 0xb7
const BPF_JMP_JEQ_K = 0x15
const BPF_JMP_JNE_K = 0x55
const BPF_JMP_JSET_K = 0x45
const BPF_JMP32_JEQ_K = 0x16
const BPF_EXIT = 0x95

/** A register by its number: 0 is the result, 1 the argument at the start. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5

/** Loads 32 bits from `offset` behind the address in `source`. */
export const load32 = (destination: Register, source: Register, offset: number): EbpfInstruction =>
  instruction(BPF_LDX_W, { destination, source, offset })
export const copy = (destination: Register, source: Register): EbpfInstruction =>
  instruction(BPF_ALU64_MOV_X, { destination, source })
export const set = (destination: Register, immediate: number): EbpfInstruction =>
  instruction(BPF_ALU64_MOV_K, { destination, immediate })
export const and = (destination: Register, immediate: number): EbpfInstruction =>
  instruction(BPF_ALU64_AND_K, { destination, immediate })
export const or = (destination: Register, source: Register): EbpfInstruction =>
  instruction(BPF_ALU64_OR_X, { destination, source })
export const shiftLeft = (destination: Register, immediate: number): EbpfInstruction =>
  instruction(BPF_ALU64_LSH_K, { destination, immediate })
export const shiftRight = (destination: Register, immediate: number): EbpfInstruction =>
  instruction(BPF_ALU64_RSH_K, { destination, immediate })
/** Ends the program with the value of register 0. */
export const exit = (): EbpfInstruction => instruction(BPF_EXIT, {})

/** When a jump is taken: the register equals the operand (as 64 or 32 bits), does not equal it, or has a bit in common with it. */
export type Condition = 'equals' | 'equals32' | 'differs' | 'anyBit'

/** Skips `offset` instructions. */
export function jumpIf(
  condition: Condition,
  destination: Register,
  immediate: number,
  offset: number,
): EbpfInstruction {
  switch (condition) {
    case 'equals':
      return instruction(BPF_JMP_JEQ_K, { destination, immediate, offset })
    case 'equals32':
      return instruction(BPF_JMP32_JEQ_K, { destination, immediate, offset })
    case 'differs':
      return instruction(BPF_JMP_JNE_K, { destination, immediate, offset })
    case 'anyBit':
      return instruction(BPF_JMP_JSET_K, { destination, immediate, offset })
  }
}

const instruction = (opcode: number, operands: Partial<EbpfInstruction>): EbpfInstruction => ({
  opcode,
  destination: 0,
  source: 0,
  offset: 0,
  immediate: 0,
  ...operands,
})

/** The program as the kernel reads it. */
export function encodeEbpf(program: readonly EbpfInstruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * EBPF_INSTRUCTION_BYTES))
  program.forEach(({ opcode, destination, source, offset, immediate }, index) => {
    const at = index * EBPF_INSTRUCTION_BYTES
    view.setUint8(at, opcode)
    view.setUint8(at + 1, destination | (source << 4))
    view.setInt16(at + 2, offset, true)
    view.setInt32(at + 4, immediate, true)
  })
  return new Uint8Array(view.buffer)
}

export const BPF_PROG_TYPE_CGROUP_DEVICE = 15
export const BPF_CGROUP_DEVICE = 6
/** Programs of the same cgroup and of those below it all run, and all have to agree. */
export const BPF_F_ALLOW_MULTI = 2
export const BPF_F_REPLACE = 4

/**
 * What a device program gets, `struct bpf_cgroup_dev_ctx`:
 *
 * | offset | size | field                                               |
 * |--------|------|-----------------------------------------------------|
 * | 0      | 4    | type in the low 16 bits, access in the high 16      |
 * | 4      | 4    | major                                               |
 * | 8      | 4    | minor                                               |
 */
export const DEVICE_ACCESS = 0
export const DEVICE_MAJOR = 4
export const DEVICE_MINOR = 8
export const BPF_DEVCG_DEV_BLOCK = 1
export const BPF_DEVCG_DEV_CHAR = 2
export const BPF_DEVCG_ACC_MKNOD = 1
export const BPF_DEVCG_ACC_READ = 2
export const BPF_DEVCG_ACC_WRITE = 4

const BPF_PROG_LOAD = 5
const BPF_PROG_ATTACH = 8
const BPF_PROG_GET_FD_BY_ID = 13
const BPF_PROG_QUERY = 16

/** Loads a program; answers a descriptor. Device programs need no license that lets them call functions of the kernel. */
export function loadDeviceProgram(program: Uint8Array): Call {
  const attributes = new DataView(new ArrayBuffer(48))
  attributes.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true)
  attributes.setUint32(4, program.length / EBPF_INSTRUCTION_BYTES, true)
  return bpf(BPF_PROG_LOAD, attributes, [
    { offset: 8, sizeBytes: 8, value: program },
    { offset: 16, sizeBytes: 8, value: 'none' },
  ])
}

/** Attaches a device program to a cgroup v2 directory, in the place of `replaced` if that is given. */
export function attachDeviceProgram(cgroup: Slot, program: Slot, replaced?: Slot): Call {
  const attributes = new DataView(new ArrayBuffer(20))
  attributes.setUint32(8, BPF_CGROUP_DEVICE, true)
  attributes.setUint32(12, BPF_F_ALLOW_MULTI | (replaced === undefined ? 0 : BPF_F_REPLACE), true)
  return bpf(BPF_PROG_ATTACH, attributes, [
    { offset: 0, sizeBytes: 4, value: cgroup },
    { offset: 4, sizeBytes: 4, value: program },
    ...(replaced === undefined ? [] : [{ offset: 16, sizeBytes: 4 as const, value: replaced }]),
  ])
}

/** The ids of the device programs attached to a cgroup, 4 bytes each; ENOSPC if `ids` has no room for all. */
export function queryDevicePrograms(cgroup: Slot, ids: Buffer): Call {
  const attributes = new DataView(new ArrayBuffer(28))
  attributes.setUint32(4, BPF_CGROUP_DEVICE, true)
  attributes.setUint32(24, ids.sizeBytes / 4, true)
  return bpf(BPF_PROG_QUERY, attributes, [
    { offset: 0, sizeBytes: 4, value: cgroup },
    { offset: 16, sizeBytes: 8, value: ids },
  ])
}

/** A descriptor for the program with this id. */
export const programById = (id: Slot): Call =>
  bpf(BPF_PROG_GET_FD_BY_ID, new DataView(new ArrayBuffer(12)), [{ offset: 0, sizeBytes: 4, value: id }])

function bpf(command: number, attributes: DataView, fields: readonly StructField[]): Call {
  const struct: Struct = { struct: new Uint8Array(attributes.buffer), fields }
  const pointer: Pointer = struct
  return { name: 'bpf', args: [command, pointer, attributes.byteLength] }
}
