import { expect, test } from 'bun:test'
import { encodeBpf } from '../linux/bpf.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import { compileSeccomp } from './compile.ts'
import { disassemble, verdictText } from './disassemble.ts'

test('the filter reads as the profile does', () => {
  const seccomp: Seccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: [
      { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: [] },
      {
        names: ['personality'],
        action: 'SCMP_ACT_TRAP',
        args: [{ index: 0, op: 'SCMP_CMP_GT', value: 8, valueTwo: 0 }],
      },
    ],
  }
  expect(
    disassemble(compileSeccomp(seccomp, { nativeArchitecture: 'SCMP_ARCH_X86_64' }).filter),
  ).toMatchInlineSnapshot(`
    "    0  load arch
        1  if arch == x86_64 go to 2 else 12
        2  load nr
        3  if nr >= 0x40000000 (read) go to 8 else 4
        4  if nr >= 135 (personality) go to 7 else 5
        5  if nr >= 2 (open) go to 18 else 6
        6  return ALLOW
        7  if nr >= 136 (ustat) go to 10 else 13
        8  if nr >= 0xc0000000 go to 11 else 9
        9  if nr >= 0x80000000 go to 10 else 12
       10  return ERRNO(ENOSYS)
       11  if nr >= 0xffffffff go to 18 else 12
       12  return KILL_THREAD
       13  load args[0].high
       14  if args[0].high > 0x0 go to 19 else 15
       15  if args[0].high == 0x0 go to 16 else 18
       16  load args[0].low
       17  if args[0].low > 0x8 go to 19 else 18
       18  return ERRNO(EPERM)
       19  return TRAP
    "
  `)
})

test('masks, long jumps and words that are no field are named', () => {
  const program = [
    { code: 0x20, jt: 0, jf: 0, k: 0x1c },
    { code: 0x54, jt: 0, jf: 0, k: 0xff },
    { code: 0x45, jt: 0, jf: 1, k: 0x10 },
    { code: 0x05, jt: 0, jf: 0, k: 1 },
    { code: 0x20, jt: 0, jf: 0, k: 8 },
    { code: 0x15, jt: 1, jf: 0, k: 2 },
    { code: 0x87, jt: 0, jf: 0, k: 0 },
    { code: 0x06, jt: 0, jf: 0, k: 0x7ff0_0003 },
  ]
  expect(disassemble(encodeBpf(program, 'little')).split('\n')).toEqual([
    '    0  load args[1].high',
    '    1  and 0xff',
    '    2  if (args[1].high & 0xff) has bits of 0x10 go to 3 else 4',
    '    3  go to 5',
    '    4  load instruction_pointer.low',
    '    5  if value == 0x2 go to 7 else 6',
    '    6  unknown operation 0x87, 0, 0, 0',
    '    7  return TRACE(3)',
    '',
  ])
})

test('halves of arguments are named by the byte order', () => {
  const program = [
    { code: 0x20, jt: 0, jf: 0, k: 16 },
    { code: 0x06, jt: 0, jf: 0, k: 0 },
  ]
  expect(disassemble(encodeBpf(program, 'big'), 'big')).toContain('load args[0].high')
  expect(disassemble(encodeBpf(program, 'little'))).toContain('load args[0].low')
})

test('values that filters return have the names of seccomp(2)', () => {
  const values = [
    0x8000_0000, 0, 0x3_0000, 0x5_0002, 0x5_0000, 0x7fc0_0000, 0x7ff0_0009, 0x7ffc_0000, 0x7fff_0000, 0x1_0000,
  ]
  expect(values.map(verdictText)).toEqual([
    'KILL_PROCESS',
    'KILL_THREAD',
    'TRAP',
    'ERRNO(ENOENT)',
    'ERRNO(0)',
    'USER_NOTIF',
    'TRACE(9)',
    'LOG',
    'ALLOW',
    '0x10000',
  ])
})
