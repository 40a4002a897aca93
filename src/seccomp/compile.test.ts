import { describe, expect, test } from 'bun:test'
import { OperationError } from '../base/errors.ts'
import { syscallNumber } from '../linux/syscalls.ts'
import type { Seccomp, SeccompArgument, SeccompRule } from '../oci/seccomp.ts'
import { auditArch } from './architectures.ts'
import { type CompiledSeccomp, compileSeccomp } from './compile.ts'
import { verdictText } from './disassemble.ts'
import { runFilter } from './interpret.ts'

const compile = (seccomp: Seccomp): CompiledSeccomp =>
  compileSeccomp(seccomp, { nativeArchitecture: 'SCMP_ARCH_X86_64' })

const rule = (names: string, action: SeccompRule['action'], args: readonly SeccompArgument[] = []): SeccompRule => ({
  names: names.split(' '),
  action,
  args,
})

const arg = (
  index: number,
  op: SeccompArgument['op'],
  value: number | bigint,
  valueTwo: number | bigint = 0,
): SeccompArgument => ({ index, op, value, valueTwo })

const profile = (...syscalls: readonly SeccompRule[]): Seccomp => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: ['SCMP_ARCH_X86_64'],
  syscalls,
})

type On = 'x86_64' | 'x86' | 'x32' | 'aarch64' | 's390x'

/** The verdict of a call of x86_64 unless another architecture is named. */
function verdict(
  seccomp: Seccomp,
  name: string | number,
  args: readonly (number | bigint)[] = [],
  on: On = 'x86_64',
): string {
  const nr = typeof name === 'number' ? name : (syscallNumber(on, name) ?? Number.NaN)
  return verdictText(runFilter(compile(seccomp).filter, { nr, arch: auditArch(on), args }).value)
}

function refusal(seccomp: Seccomp): { readonly kind: string; readonly message: string } {
  try {
    compile(seccomp)
  } catch (error) {
    if (error instanceof OperationError) return { kind: error.kind, message: error.message }
  }
  throw new Error('it was not refused')
}

describe('a filter whose denials are told', () => {
  const refused = rule('chroot', 'SCMP_ACT_ERRNO')
  const hidden: SeccompRule = { ...rule('clone3', 'SCMP_ACT_ERRNO'), errnoRet: 38 }
  const seccomp: Seccomp = {
    ...profile(
      rule('read openat', 'SCMP_ACT_ALLOW'),
      rule('open', 'SCMP_ACT_ALLOW', [arg(1, 'SCMP_CMP_EQ', 0)]),
      refused,
      hidden,
    ),
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  }
  const watched = compileSeccomp(seccomp, {
    nativeArchitecture: 'SCMP_ARCH_X86_64',
    watched: ['openat', 'open', 'mkdir', 'no_such_call'],
  })
  const told = (name: string, on: On = 'x86_64'): string => {
    const call = { nr: syscallNumber(on, name) ?? Number.NaN, arch: auditArch(on), args: [] }
    return verdictText(runFilter(watched.filter, call).value)
  }

  test('what it refuses with EPERM goes to the listener, on all architectures', () => {
    expect([told('chroot'), told('mkdir'), told('mkdir', 'x86')]).toEqual(Array(3).fill(verdictText(0x7fc0_0000)))
  })

  test('a call goes on only where the profile lets it pass whatever its arguments are', () => {
    expect(watched.passed).toEqual([257])
    expect([told('openat'), told('open')]).toEqual([verdictText(0x7fc0_0000), 'ALLOW'])
  })

  test('all else is as it was: calls that nobody watches, other architectures, calls that shall look unknown', () => {
    expect([told('read'), told('openat', 'x86'), told('clone3')]).toEqual(['ALLOW', 'ALLOW', 'ERRNO(ENOSYS)'])
  })
})

describe('verdicts', () => {
  test('a call without a rule has the default action', () => {
    const seccomp = profile(rule('read write clone', 'SCMP_ACT_ALLOW'))
    expect(verdict(seccomp, 'read')).toBe('ALLOW')
    expect(verdict(seccomp, 'close')).toBe('ERRNO(EPERM)')
  })

  test('every action returns its own value', () => {
    const all: readonly SeccompRule[] = [
      rule('read', 'SCMP_ACT_KILL'),
      rule('write', 'SCMP_ACT_KILL_THREAD'),
      rule('open', 'SCMP_ACT_KILL_PROCESS'),
      rule('close', 'SCMP_ACT_TRAP'),
      { ...rule('stat', 'SCMP_ACT_ERRNO'), errnoRet: 2 },
      { ...rule('fstat', 'SCMP_ACT_TRACE'), errnoRet: 9 },
      rule('lstat', 'SCMP_ACT_LOG'),
      rule('poll', 'SCMP_ACT_NOTIFY'),
      rule('lseek', 'SCMP_ACT_ALLOW'),
    ]
    const seccomp: Seccomp = { ...profile(...all), listenerPath: '/run/agent' }
    const names = ['read', 'write', 'open', 'close', 'stat', 'fstat', 'lstat', 'poll', 'lseek']
    expect(names.map((name) => verdict(seccomp, name))).toEqual([
      'KILL_THREAD',
      'KILL_THREAD',
      'KILL_PROCESS',
      'TRAP',
      'ERRNO(ENOENT)',
      'TRACE(9)',
      'LOG',
      'USER_NOTIF',
      'ALLOW',
    ])
  })

  test('without errnoRet the errno is EPERM', () => {
    const seccomp: Seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: [],
      syscalls: [rule('read', 'SCMP_ACT_ERRNO')],
    }
    expect(verdict(seccomp, 'read')).toBe('ERRNO(EPERM)')
  })

  test('of rules without args the first counts', () => {
    expect(verdict(profile(rule('read', 'SCMP_ACT_TRAP'), rule('read', 'SCMP_ACT_ALLOW')), 'read')).toBe('TRAP')
  })

  test('a rule without args replaces those with args, before and after it', () => {
    const narrow = rule('clone', 'SCMP_ACT_TRAP', [arg(0, 'SCMP_CMP_EQ', 1)])
    const wide = rule('clone', 'SCMP_ACT_ALLOW')
    expect(verdict(profile(narrow, wide), 'clone', [1])).toBe('ALLOW')
    expect(verdict(profile(wide, narrow), 'clone', [1])).toBe('ALLOW')
  })

  test('a rule with the default action is dropped, so it hides no other', () => {
    expect(verdict(profile(rule('read', 'SCMP_ACT_ERRNO'), rule('read', 'SCMP_ACT_ALLOW')), 'read')).toBe('ALLOW')
  })

  test('all args of a rule have to hold', () => {
    const seccomp = profile(rule('clone', 'SCMP_ACT_ALLOW', [arg(0, 'SCMP_CMP_EQ', 1), arg(2, 'SCMP_CMP_GT', 5)]))
    expect(verdict(seccomp, 'clone', [1, 0, 6])).toBe('ALLOW')
    expect(verdict(seccomp, 'clone', [1, 0, 5])).toBe('ERRNO(EPERM)')
    expect(verdict(seccomp, 'clone', [2, 0, 6])).toBe('ERRNO(EPERM)')
  })

  test('a rule that compares one argument twice holds if either does', () => {
    const seccomp = profile(rule('clone', 'SCMP_ACT_ALLOW', [arg(0, 'SCMP_CMP_EQ', 1), arg(0, 'SCMP_CMP_EQ', 3)]))
    expect([1, 2, 3].map((value) => verdict(seccomp, 'clone', [value]))).toEqual(['ALLOW', 'ERRNO(EPERM)', 'ALLOW'])
  })

  test('the more specific rule is tried first, wherever it stands', () => {
    const seccomp = profile(
      rule('clone', 'SCMP_ACT_ALLOW', [arg(0, 'SCMP_CMP_GT', 5)]),
      rule('clone', 'SCMP_ACT_TRAP', [arg(0, 'SCMP_CMP_GT', 10)]),
      rule('clone', 'SCMP_ACT_KILL', [arg(0, 'SCMP_CMP_EQ', 20)]),
    )
    expect([6, 11, 20].map((value) => verdict(seccomp, 'clone', [value]))).toEqual(['ALLOW', 'TRAP', 'KILL_THREAD'])
  })

  test('unknown names are told and have no effect', () => {
    const compiled = compile(profile(rule('read opennat', 'SCMP_ACT_ALLOW')))
    expect(compiled.unknownNames).toEqual(['opennat'])
  })
})

describe('architectures', () => {
  test('one that the profile does not list kills', () => {
    expect(verdict(profile(rule('read', 'SCMP_ACT_ALLOW')), 'read', [], 'x86')).toBe('KILL_THREAD')
    expect(verdict(profile(rule('read', 'SCMP_ACT_ALLOW')), 'read', [], 'x32')).toBe('KILL_THREAD')
  })

  test('the number -1, with which a tracer skips a call, has the default action', () => {
    expect(verdict(profile(rule('read', 'SCMP_ACT_ALLOW')), 0xffff_ffff)).toBe('ERRNO(EPERM)')
  })

  test('that of the machine is always part of the filter', () => {
    const seccomp: Seccomp = { ...profile(rule('read', 'SCMP_ACT_ALLOW')), architectures: ['SCMP_ARCH_AARCH64'] }
    expect(verdict(seccomp, 'read')).toBe('ALLOW')
    expect(verdict(seccomp, 'read', [], 'aarch64')).toBe('ALLOW')
  })

  test('x32 has numbers and a verdict of its own where it is listed', () => {
    const seccomp: Seccomp = {
      ...profile(rule('execve ioctl', 'SCMP_ACT_ALLOW')),
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X32'],
    }
    expect(verdict(seccomp, 'execve', [], 'x32')).toBe('ALLOW')
    expect(verdict(seccomp, 0x4000_0000 + 59)).toBe('ERRNO(EPERM)')
    expect(verdict(seccomp, 520)).toBe('ERRNO(ENOSYS)')
  })

  test('32-bit ones compare the low half of an argument', () => {
    const seccomp: Seccomp = {
      ...profile(rule('personality', 'SCMP_ACT_ALLOW', [arg(0, 'SCMP_CMP_EQ', 0xffff_ffff_ffff_fffen)])),
      architectures: ['SCMP_ARCH_X86'],
    }
    expect(verdict(seccomp, 'personality', [0xffff_fffe], 'x86')).toBe('ALLOW')
    expect(verdict(seccomp, 'personality', [0xffff_fffe])).toBe('ERRNO(EPERM)')
    expect(verdict(seccomp, 'personality', [0xffff_ffff_ffff_fffen])).toBe('ALLOW')
  })

  test('a socket call is judged behind socketcall(2) as well', () => {
    const seccomp: Seccomp = {
      ...profile(rule('socket semop', 'SCMP_ACT_ALLOW'), rule('clone3', 'SCMP_ACT_TRAP')),
      architectures: ['SCMP_ARCH_X86'],
    }
    expect(verdict(seccomp, 'socket', [], 'x86')).toBe('ALLOW')
    expect(verdict(seccomp, 'socketcall', [1], 'x86')).toBe('ALLOW')
    expect(verdict(seccomp, 'socketcall', [2], 'x86')).toBe('ERRNO(EPERM)')
    expect(verdict(seccomp, 'ipc', [1], 'x86')).toBe('ALLOW')
    expect(verdict(seccomp, 'ipc', [2], 'x86')).toBe('ERRNO(EPERM)')
  })

  test('a rule for socketcall(2) may not contradict one for the call behind it', () => {
    const { message } = refusal({
      ...profile(rule('socket', 'SCMP_ACT_ALLOW'), rule('socketcall', 'SCMP_ACT_TRAP', [arg(0, 'SCMP_CMP_EQ', 1)])),
      architectures: ['SCMP_ARCH_X86'],
    })
    expect(message).toContain('linux.seccomp.syscalls[1] contradicts linux.seccomp.syscalls[0]')
  })

  test('a rule for all of socketcall(2) replaces those for one call behind it', () => {
    const seccomp: Seccomp = {
      ...profile(rule('socket', 'SCMP_ACT_TRAP'), rule('socketcall clone3', 'SCMP_ACT_ALLOW')),
      architectures: ['SCMP_ARCH_X86'],
    }
    expect(verdict(seccomp, 'socketcall', [1], 'x86')).toBe('ALLOW')
    expect(verdict(seccomp, 'socket', [], 'x86')).toBe('TRAP')
  })

  test('a big-endian machine gets its own byte order', () => {
    const seccomp: Seccomp = {
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: ['SCMP_ARCH_S390X'],
      syscalls: [rule('personality clone3', 'SCMP_ACT_ALLOW', [arg(0, 'SCMP_CMP_GT', 0x1_0000_0005)])],
    }
    const { filter } = compileSeccomp(seccomp, { nativeArchitecture: 'SCMP_ARCH_S390X' })
    const run = (nr: number, value: number): string =>
      verdictText(runFilter(filter, { nr, arch: auditArch('s390x'), args: [value] }, 'big').value)
    const personality = syscallNumber('s390x', 'personality') ?? Number.NaN
    expect(filter.slice(0, 8)).toEqual(Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 4))
    expect([5, 0x1_0000_0005, 0x1_0000_0006, 0x2_0000_0000].map((value) => run(personality, value))).toEqual([
      'ERRNO(EPERM)',
      'ERRNO(EPERM)',
      'ALLOW',
      'ALLOW',
    ])
    // The kernel puts 0 where it does not know the number.
    expect(run(0, 0)).toBe('ERRNO(ENOSYS)')
  })

  test('one of another byte order is refused by name', () => {
    const { kind, message } = refusal({ ...profile(), architectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_S390X'] })
    expect(kind).toBe('invalid')
    expect(message).toContain('linux.seccomp.architectures[1] is SCMP_ARCH_S390X, which is big-endian')
  })
})

describe('calls newer than the profile', () => {
  const known = profile(rule('openat2', 'SCMP_ACT_ALLOW'))

  test('fail with ENOSYS, so that libraries fall back', () => {
    expect(verdict(known, 438)).toBe('ERRNO(ENOSYS)')
    expect(verdict(known, 436)).toBe('ERRNO(EPERM)')
  })

  test('fail so even if a rule that makes no difference names the newest', () => {
    expect(verdict(profile(rule('openat2', 'SCMP_ACT_ERRNO'), rule('read', 'SCMP_ACT_ALLOW')), 438)).toBe(
      'ERRNO(ENOSYS)',
    )
    expect(verdict(profile(rule('openat2', 'SCMP_ACT_ERRNO'), rule('read', 'SCMP_ACT_ALLOW')), 437)).toBe(
      'ERRNO(EPERM)',
    )
  })

  test('have the default action if it lets calls pass, or asks a tracer', () => {
    for (const defaultAction of ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'] as const) {
      const seccomp: Seccomp = {
        defaultAction,
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [rule('read', 'SCMP_ACT_TRAP')],
      }
      expect(verdict(seccomp, 500)).not.toBe('ERRNO(ENOSYS)')
    }
  })

  test('have the default action where the profile does not list the architecture', () => {
    expect(verdict({ ...known, architectures: [] }, 438)).toBe('ERRNO(EPERM)')
  })
})

describe('flags and listener', () => {
  const flags = (seccomp: Partial<Seccomp>): number => compile({ ...profile(), ...seccomp }).flags

  test('without flags SPEC_ALLOW is set, with an empty list none', () => {
    expect(flags({})).toBe(4)
    expect(flags({ flags: [] })).toBe(0)
  })

  test('LOG and SPEC_ALLOW are passed on, TSYNC is not', () => {
    expect(
      flags({ flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'] }),
    ).toBe(6)
  })

  test('SCMP_ACT_NOTIFY asks for a listener', () => {
    const syscalls = [rule('mount', 'SCMP_ACT_NOTIFY')]
    const compiled = compile({
      ...profile(),
      syscalls,
      listenerPath: '/a',
      flags: ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'],
    })
    expect(compiled.notifies).toBe(true)
    expect(compiled.flags).toBe(8 | 32)
  })

  test('what cannot be is refused with the field', () => {
    const notify = rule('mount', 'SCMP_ACT_NOTIFY')
    const cases: readonly (readonly [Partial<Seccomp>, string])[] = [
      [{ syscalls: [notify] }, 'linux.seccomp.listenerPath is missing'],
      [{ listenerMetadata: 'x' }, 'linux.seccomp.listenerMetadata is given without listenerPath'],
      [{ flags: ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'] }, 'linux.seccomp.flags[0] is SECCOMP_FILTER_FLAG_WAIT'],
      [{ defaultAction: 'SCMP_ACT_NOTIFY', listenerPath: '/a' }, 'linux.seccomp.defaultAction is SCMP_ACT_NOTIFY'],
      [{ syscalls: [rule('read write', 'SCMP_ACT_NOTIFY')], listenerPath: '/a' }, 'syscalls[0].names[1] is "write"'],
      [
        { syscalls: [{ ...rule('read', 'SCMP_ACT_ALLOW'), errnoRet: 1 }] },
        'syscalls[0].errnoRet is 1, but SCMP_ACT_ALLOW',
      ],
      [{ syscalls: [{ ...rule('read', 'SCMP_ACT_ERRNO'), errnoRet: 4096 }] }, 'syscalls[0].errnoRet is 4096'],
      [{ defaultAction: 'SCMP_ACT_KILL', defaultErrnoRet: 1 }, 'linux.seccomp.defaultErrnoRet is 1, but SCMP_ACT_KILL'],
    ]
    for (const [seccomp, message] of cases) {
      const refused = refusal({ ...profile(), ...seccomp })
      expect(refused.kind).toBe('invalid')
      expect(refused.message).toContain(message)
    }
  })

  test('two actions for the same call and arguments contradict each other', () => {
    const args = [arg(0, 'SCMP_CMP_EQ', 1)]
    const { kind, message } = refusal(
      profile(rule('clone', 'SCMP_ACT_ALLOW', args), rule('clone', 'SCMP_ACT_TRAP', args)),
    )
    expect(kind).toBe('invalid')
    expect(message).toContain('linux.seccomp.syscalls[1] contradicts linux.seccomp.syscalls[0]')
  })
})

describe('size', () => {
  test('calls with neighbouring numbers share their comparisons', () => {
    const names = 'read write open close stat fstat lstat poll lseek mmap'
    expect(compile(profile(rule(names, 'SCMP_ACT_ALLOW'))).instructionCount).toBeLessThan(14)
  })

  test('values of one argument share their loads', () => {
    const rules = Array.from({ length: 50 }, (_, value) =>
      rule('ioctl', 'SCMP_ACT_ALLOW', [arg(1, 'SCMP_CMP_EQ', value)]),
    )
    expect(compile(profile(...rules, rule('clone3', 'SCMP_ACT_TRAP'))).instructionCount).toBeLessThan(75)
  })

  test('jumps beyond 255 instructions arrive', () => {
    const rules = Array.from({ length: 700 }, (_, value) =>
      rule('ioctl', 'SCMP_ACT_ALLOW', [
        arg(1, 'SCMP_CMP_MASKED_EQ', 0xfff_0000, value << 16),
        arg(2, 'SCMP_CMP_LT', value),
      ]),
    )
    const { filter } = compile(profile(...rules.slice(0, 400)))
    const run = (a: number, b: number): string =>
      verdictText(runFilter(filter, { nr: 16, arch: auditArch('x86_64'), args: [0, a, b] }).value)
    expect([run(399 << 16, 398), run(399 << 16, 399), run(1 << 16, 0), run(400 << 16, 0)]).toEqual([
      'ALLOW',
      'ERRNO(EPERM)',
      'ALLOW',
      'ERRNO(EPERM)',
    ])
    expect(refusal(profile(...rules)).kind).toBe('unsupported')
  })
})
