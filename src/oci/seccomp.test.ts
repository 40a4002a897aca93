import { expect, test } from 'bun:test'
import { sectionOf } from '../base/field.ts'
import { type Seccomp, seccompOf } from './seccomp.ts'

const read = (json: unknown): Seccomp | undefined => seccompOf(sectionOf(json, 'config.json: linux.seccomp'))

test('a profile is read with what it leaves out', () => {
  expect(
    read({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 1, value: 5, op: 'SCMP_CMP_EQ' }] }],
    }),
  ).toEqual({
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: [],
    syscalls: [
      { names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 1, value: 5, valueTwo: 0, op: 'SCMP_CMP_EQ' }] },
    ],
  })
})

test('a section without rules and default action is no profile', () => {
  expect(read({})).toBeUndefined()
  expect(read({ defaultAction: '', architectures: null, syscalls: null })).toBeUndefined()
})

test('flags that are empty are not flags that are absent', () => {
  expect(read({ defaultAction: 'SCMP_ACT_ALLOW', flags: [] })?.flags).toEqual([])
  expect(read({ defaultAction: 'SCMP_ACT_ALLOW', flags: null })?.flags).toBeUndefined()
})

test('values beyond 2^53 are exact', () => {
  const args = [{ index: 0, value: 0xffff_ffff_ffff_ffffn, valueTwo: 2n ** 60n, op: 'SCMP_CMP_MASKED_EQ' }]
  const profile = read({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['read'], action: 'SCMP_ACT_TRAP', args }],
  })
  expect(profile?.syscalls[0]?.args[0]?.value).toBe(0xffff_ffff_ffff_ffffn)
})

test('a wrong word, type or range is refused with its field', () => {
  const rule = { names: ['read'], action: 'SCMP_ACT_ALLOW' }
  const cases: readonly (readonly [unknown, string])[] = [
    [{ defaultAction: 'SCMP_ACT_ALOW' }, 'linux.seccomp.defaultAction is "SCMP_ACT_ALOW"'],
    [{ syscalls: [rule] }, 'linux.seccomp.defaultAction is missing'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X64'] }, 'linux.seccomp.architectures[0]'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', flags: ['TSYNC'] }, 'linux.seccomp.flags[0]'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, names: [] }] }, 'syscalls[0].names is empty'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, errnoRet: -1 }] }, 'syscalls[0].errnoRet'],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }] },
      'syscalls[0].args[0].index',
    ],
    [
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ ...rule, args: [{ index: 0, value: 2 ** 53, op: 'SCMP_CMP_EQ' }] }],
      },
      'syscalls[0].args[0].value',
    ],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ ...rule, args: [{ index: 0, value: 0, op: 'EQ' }] }] },
      'syscalls[0].args[0].op',
    ],
  ]
  for (const [json, message] of cases) expect(() => read(json)).toThrow(message)
})
