import { expect, test } from 'bun:test'
import { callNumber } from './numbers.ts'
import { allSyscallNames, hasSyscall, numberBase, syscallName, syscallNumber } from './syscalls.ts'

test('a name has the number of its architecture', () => {
  expect(syscallNumber('x86_64', 'read')).toBe(0)
  expect(syscallNumber('aarch64', 'read')).toBe(63)
  expect(syscallNumber('x86', 'execve')).toBe(11)
  expect(syscallNumber('s390x', 'openat2')).toBe(437)
  expect(syscallNumber('riscv64', 'riscv_flush_icache')).toBe(259)
})

test('conventions that share an instruction set have numbers of their own', () => {
  expect(syscallNumber('x32', 'read')).toBe(0x4000_0000)
  expect(syscallNumber('x32', 'execve')).toBe(0x4000_0000 + 520)
  expect(syscallNumber('mips', 'read')).toBe(4003)
  expect(syscallNumber('mips64', 'read')).toBe(5000)
  expect(syscallNumber('mips64n32', 'read')).toBe(6000)
})

test('both byte orders of an architecture have the same numbers', () => {
  expect(syscallNumber('mipsel64', 'read')).toBe(5000)
  expect(syscallNumber('ppc64le', 'swapcontext')).toBe(syscallNumber('ppc64', 'swapcontext'))
  expect(syscallNumber('sheb', 'cacheflush')).toBe(123)
})

test('the private calls of ARM stand above all others', () => {
  expect(syscallNumber('arm', 'breakpoint')).toBe(0x0f_0001)
  expect(syscallNumber('arm', 'set_tls')).toBe(0x0f_0005)
  expect(syscallName('arm', 0x0f_0006)).toBe('get_tls')
})

test('a call that an architecture lacks has no number there', () => {
  expect(syscallNumber('aarch64', 'open')).toBeUndefined()
  expect(syscallNumber('x86_64', 'socketcall')).toBeUndefined()
  expect(hasSyscall('socketcall')).toBe(true)
  expect(hasSyscall('opennat')).toBe(false)
})

test('newer calls have one number on all architectures', () => {
  for (const name of ['pidfd_open', 'openat2', 'close_range', 'mount_setattr', 'file_getattr'] as const) {
    const number = syscallNumber('x86_64', name)
    for (const architecture of ['x86', 'x32', 'arm', 'mips', 's390', 'parisc', 'sh', 'm68k', 'loongarch64'] as const) {
      expect(syscallNumber(architecture, name)).toBe(numberBase(architecture) + (number ?? Number.NaN))
    }
  }
})

test('a number leads back to its name', () => {
  for (const architecture of ['x86_64', 'x86', 'x32', 'aarch64', 'mips64n32', 'parisc64'] as const) {
    for (const name of allSyscallNames()) {
      const number = syscallNumber(architecture, name)
      if (number !== undefined) expect(syscallName(architecture, number)).toBe(name)
    }
  }
  expect(syscallName('x86_64', 100_000)).toBeUndefined()
})

test('the calls that plans are made of have the same numbers', () => {
  let known = 0
  for (const name of allSyscallNames()) {
    for (const architecture of ['x86_64', 'aarch64'] as const) {
      const number = callNumber(name, architecture)
      if (number === undefined) continue
      expect([name, syscallNumber(architecture, name)]).toEqual([name, number])
      known++
    }
  }
  expect(known).toBeGreaterThan(100)
})
