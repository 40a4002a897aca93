/** The tables of system calls against those of libseccomp, which its authors made from the same kernel. */

import { expect, test } from 'bun:test'
import { type Architecture, allSyscallNames, syscallNumber } from '../src/linux/syscalls.ts'
import { multiplexedCalls, multiplexes } from '../src/seccomp/architectures.ts'
import { cProgram } from './c-program.ts'
import { tokenOf } from './libseccomp.ts'

/** Those that libseccomp 2.5 has; newer ones have loongarch64, m68k and sh as well. */
const architectures: readonly Architecture[] = [
  'x86',
  'x86_64',
  'x32',
  'arm',
  'aarch64',
  'mips',
  'mipsel',
  'mips64',
  'mipsel64',
  'mips64n32',
  'mipsel64n32',
  'parisc',
  'parisc64',
  'ppc',
  'ppc64',
  'ppc64le',
  'riscv64',
  's390',
  's390x',
]

/** libseccomp has _llseek on parisc64, which the kernel has in its 32-bit table only (arch/parisc/kernel/syscalls/syscall.tbl). */
const libseccompAlone = new Set(['parisc64 _llseek'])

function numbersOfLibseccomp(): readonly (readonly [string, readonly number[]])[] {
  using program = cProgram('libseccomp-numbers', ['-lseccomp'])
  const tokens = architectures.map((architecture) => tokenOf(architecture).toString(16))
  const stdin = Buffer.from(allSyscallNames().join('\n'))
  const { exitCode, stdout } = Bun.spawnSync([program.path, ...tokens], { stdin })
  expect(exitCode).toBe(0)
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', ...numbers] = line.split(' ')
      return [name, numbers.map(Number)] as const
    })
}

test('every number that libseccomp has is the number here', () => {
  let compared = 0
  const different: string[] = []
  for (const [name, numbers] of numbersOfLibseccomp()) {
    for (const [index, architecture] of architectures.entries()) {
      const theirs = numbers[index] as number
      // Below zero it has no number, or hides it behind socketcall(2) or ipc(2).
      if (theirs < 0 || libseccompAlone.has(`${architecture} ${name}`)) continue
      compared++
      const ours = syscallNumber(architecture, name)
      if (ours !== theirs) different.push(`${architecture} ${name}: ${ours} here, ${theirs} there`)
    }
  }
  expect(different).toEqual([])
  expect(compared).toBeGreaterThan(6_500)
})

test('what libseccomp hides behind socketcall(2) and ipc(2) is what is multiplexed here', () => {
  for (const [name, numbers] of numbersOfLibseccomp()) {
    const behind = multiplexedCalls().get(name)
    for (const [index, architecture] of architectures.entries()) {
      if (!multiplexes(architecture)) continue
      const theirs = numbers[index] as number
      // Pseudo numbers -101 to -120 are those of linux/net.h, -201 to -224 those of linux/ipc.h.
      const isHidden = theirs <= -101 && theirs >= -224
      expect([name, architecture, isHidden ? -theirs % 100 : undefined]).toEqual([name, architecture, behind?.call])
    }
  }
})
