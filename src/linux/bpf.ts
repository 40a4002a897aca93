/**
 * Classic BPF as seccomp(2) takes it, and the words around it.
 *
 * Sources: seccomp(2); kernel:include/uapi/linux/seccomp.h, filter.h, bpf_common.h; kernel/seccomp.c `seccomp_check_filter`.
 *
 * One instruction, `struct sock_filter`, is 8 bytes in the byte order of the machine:
 *
 * | bytes | field  | meaning                                                        |
 * |-------|--------|----------------------------------------------------------------|
 * | 0-1   | `code` | operation                                                      |
 * | 2     | `jt`   | how many instructions a comparison skips when true             |
 * | 3     | `jf`   | … and when false                                               |
 * | 4-7   | `k`    | operand: a value, an offset in `struct seccomp_data`, a return |
 */

/** Load the 32-bit word at offset `k` of `struct seccomp_data`. */
export const BPF_LD_W_ABS = 0x20
/** The same of a packet, a half-word or a byte of it; X: at that offset behind the register X. */
export const BPF_LD_H_ABS = 0x28
export const BPF_LD_B_ABS = 0x30
export const BPF_LD_W_IND = 0x40
export const BPF_LD_H_IND = 0x48
export const BPF_LD_B_IND = 0x50
/** Load the length of a header of IPv4, whose first byte is at offset `k`, into X. */
export const BPF_LDX_MSH = 0xb1
export const BPF_ALU_AND_K = 0x54
/** Skip `k` instructions, as many as one likes; comparisons skip 255 at most. */
export const BPF_JMP_JA = 0x05
export const BPF_JMP_JEQ_K = 0x15
export const BPF_JMP_JGT_K = 0x25
export const BPF_JMP_JGE_K = 0x35
export const BPF_JMP_JSET_K = 0x45
export const BPF_RET_K = 0x06

/** The longest filter that the kernel takes, in instructions. */
export const BPF_MAXINSNS = 4096
export const BPF_INSTRUCTION_BYTES = 8

/**
 * Offsets in `struct seccomp_data`:
 *
 * | offset | size | field                                         |
 * |--------|------|-----------------------------------------------|
 * | 0      | 4    | `nr`                                          |
 * | 4      | 4    | `arch`, `AUDIT_ARCH_*`                        |
 * | 8      | 8    | `instruction_pointer`                         |
 * | 16     | 6×8  | `args`; BPF loads 32 bits, so half of one     |
 */
export const SECCOMP_DATA_NR = 0
export const SECCOMP_DATA_ARCH = 4
export const SECCOMP_DATA_INSTRUCTION_POINTER = 8
export const SECCOMP_DATA_ARGS = 16
export const SECCOMP_DATA_BYTES = 64

/** What a filter returns, the most restrictive first; ERRNO and TRACE carry a number in the low 16 bits. */
export const SECCOMP_RET_KILL_PROCESS = 0x8000_0000
export const SECCOMP_RET_KILL_THREAD = 0
export const SECCOMP_RET_TRAP = 0x0003_0000
export const SECCOMP_RET_ERRNO = 0x0005_0000
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000
export const SECCOMP_RET_TRACE = 0x7ff0_0000
export const SECCOMP_RET_LOG = 0x7ffc_0000
export const SECCOMP_RET_ALLOW = 0x7fff_0000
export const SECCOMP_RET_ACTION_FULL = 0xffff_0000
export const SECCOMP_RET_DATA = 0xffff

export const SECCOMP_SET_MODE_FILTER = 1
export const SECCOMP_FILTER_FLAG_TSYNC = 0x01
export const SECCOMP_FILTER_FLAG_LOG = 0x02
export const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x04
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x08
/** Since Linux 5.19, and only together with NEW_LISTENER. */
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20

/** One instruction of classic BPF. */
export interface BpfInstruction {
  readonly code: number
  readonly jt: number
  readonly jf: number
  readonly k: number
}

/** A program as the kernel reads it, in the byte order of the machine that will run it. */
export function encodeBpf(program: readonly BpfInstruction[], byteOrder: 'little' | 'big'): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * BPF_INSTRUCTION_BYTES))
  const little = byteOrder === 'little'
  for (const [index, { code, jt, jf, k }] of program.entries()) {
    const offset = index * BPF_INSTRUCTION_BYTES
    view.setUint16(offset, code, little)
    view.setUint8(offset + 2, jt)
    view.setUint8(offset + 3, jf)
    view.setUint32(offset + 4, k, little)
  }
  return new Uint8Array(view.buffer)
}

/** The instructions of a program; bytes after the last whole one are left out. */
export function decodeBpf(bytes: Uint8Array, byteOrder: 'little' | 'big'): readonly BpfInstruction[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = byteOrder === 'little'
  const program: BpfInstruction[] = []
  for (let offset = 0; offset + BPF_INSTRUCTION_BYTES <= bytes.byteLength; offset += BPF_INSTRUCTION_BYTES) {
    program.push({
      code: view.getUint16(offset, little),
      jt: view.getUint8(offset + 2),
      jf: view.getUint8(offset + 3),
      k: view.getUint32(offset + 4, little),
    })
  }
  return program
}
