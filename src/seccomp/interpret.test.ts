import { expect, test } from 'bun:test'
import { type BpfInstruction, encodeBpf } from '../linux/bpf.ts'
import { runFilter, type SeccompCall } from './interpret.ts'

const load = (k: number): BpfInstruction => ({ code: 0x20, jt: 0, jf: 0, k })
const jump = (code: number, k: number, jt: number, jf: number): BpfInstruction => ({ code, jt, jf, k })
const ret = (k: number): BpfInstruction => ({ code: 0x06, jt: 0, jf: 0, k })

const run = (
  program: readonly BpfInstruction[],
  call: Partial<SeccompCall> = {},
  order: 'little' | 'big' = 'little',
): number => runFilter(encodeBpf(program, order), { nr: 0, arch: 0, ...call }, order).value

test('every field of seccomp_data is where seccomp(2) has it', () => {
  const call: SeccompCall = { nr: 5, arch: 0xc000_003e, instructionPointer: 0x1_0000_0002, args: [0, 0, 0x3_0000_0004] }
  const fieldAt = (offset: number, order: 'little' | 'big'): number[] =>
    [0, 1, 2, 3, 4, 5, 0xc000_003e].filter(
      (k) => run([load(offset), jump(0x15, k, 0, 1), ret(1), ret(0)], call, order) === 1,
    )
  expect([0, 4, 8, 12, 32, 36, 56].map((offset) => fieldAt(offset, 'little'))).toEqual([
    [5],
    [0xc000_003e],
    [2],
    [1],
    [4],
    [3],
    [0],
  ])
  expect([8, 12, 32, 36].map((offset) => fieldAt(offset, 'big'))).toEqual([[1], [2], [3], [4]])
})

test('comparisons are unsigned', () => {
  const test = (code: number, nr: number, k: number): number =>
    run([load(0), jump(code, k, 0, 1), ret(1), ret(0)], { nr })
  expect(test(0x25, 0xffff_ffff, 0x7fff_ffff)).toBe(1)
  expect(test(0x35, 0x8000_0000, 0x8000_0000)).toBe(1)
  expect(test(0x25, 1, 0xffff_ffff)).toBe(0)
  expect(test(0x45, 0x8000_0000, 0xc000_0000)).toBe(1)
  expect(test(0x45, 1, 2)).toBe(0)
})

test('a negative number of a call is that of the kernel', () => {
  expect(run([load(0), jump(0x15, 0xffff_ffff, 0, 1), ret(1), ret(0)], { nr: -1 })).toBe(1)
})

test('what the kernel would not load is refused', () => {
  expect(() => run([load(0)])).toThrow('instruction 1 is not there')
  expect(() => run([load(2), ret(0)])).toThrow('loads from offset 2')
  expect(() => run([load(64), ret(0)])).toThrow('loads from offset 64')
  expect(() => run([jump(0x07, 0, 0, 0), ret(0)])).toThrow('instruction 0 has the operation 0x7')
  expect(() => run([jump(0x05, 5, 0, 0), ret(0)])).toThrow('is not there')
})

test('instructions that ran are counted', () => {
  const program = encodeBpf([load(0), jump(0x15, 1, 1, 0), ret(7), ret(8)], 'little')
  expect(runFilter(program, { nr: 1, arch: 0 })).toEqual({ value: 8, instructions: 3 })
})
