/** The kernel takes the filters, and does with calls what the interpreter says. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { Capability } from '../src/linux/capabilities.ts'
import { allSyscallNames, syscallNumber } from '../src/linux/syscalls.ts'
import type { Seccomp, SeccompArchitecture, SeccompRule } from '../src/oci/seccomp.ts'
import { type CompiledSeccomp, compileSeccomp } from '../src/seccomp/compile.ts'
import { mobyDefaultProfile } from '../src/seccomp/moby-default.ts'
import { architecture, type Call, expected, isX86, openProbe, type Probe, SIGSYS } from './seccomp-probe.ts'

setDefaultTimeout(60_000)

const ENOSYS = 38

const native: SeccompArchitecture = isX86 ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'

let probe: Probe

beforeAll(() => {
  probe = openProbe()
})

afterAll(() => {
  probe[Symbol.dispose]()
})

const outcomes = (filter: Parameters<Probe['outcomes']>[0], calls: readonly Call[]): readonly string[] =>
  probe.outcomes(filter, calls)

const number = (name: string): number => syscallNumber(architecture, name) ?? Number.NaN
const compile = (profile: Seccomp): CompiledSeccomp => compileSeccomp(profile, { nativeArchitecture: native })
const rule = (names: readonly string[], action: SeccompRule['action'], errnoRet?: number): SeccompRule => ({
  names,
  action,
  errnoRet,
  args: [],
})
const denying = (...syscalls: readonly SeccompRule[]): Seccomp => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: [],
  syscalls,
})

const moby = (capabilities: readonly Capability[] = []): CompiledSeccomp =>
  compile(mobyDefaultProfile({ capabilities, nativeArchitecture: native, kernel: { major: 6, minor: 1 } }))

test("every call that Docker's default profile denies is denied by the kernel with the errno of the interpreter", () => {
  const filter = moby()
  const calls: readonly Call[] = allSyscallNames()
    // The kernel makes these for itself, and since 6.14 lets them pass every filter (kernel/seccomp.c `seccomp_uprobe_exception`).
    .filter((name) => name !== 'uprobe' && name !== 'uretprobe')
    .map(number)
    .filter((nr) => !Number.isNaN(nr))
    .map((nr): Call => ({ kind: 'native', nr }))
    .filter((call) => expected(filter, call) !== undefined)
  expect(calls.length).toBeGreaterThan(60)
  expect(outcomes(filter, calls)).toEqual(calls.map((call) => expected(filter, call) as string))
})

test("calls that Docker's default profile allows reach the kernel", () => {
  const calls = ['getpid', 'getuid', 'gettid', 'getppid'].map((name): Call => ({ kind: 'native', nr: number(name) }))
  for (const outcome of outcomes(moby(), calls)) expect(outcome).toMatch(/^result \d+$/)
})

test('arguments are compared with all of their bits', () => {
  const query = 0xffff_ffffn
  const profile = denying({
    ...rule(['personality'], 'SCMP_ACT_ALLOW'),
    args: [{ index: 0, op: 'SCMP_CMP_EQ', value: query, valueTwo: 0 }],
  })
  const [same, higher] = outcomes(compile(profile), [
    { kind: 'native', nr: number('personality'), args: [query] },
    { kind: 'native', nr: number('personality'), args: [query | (1n << 32n)] },
  ])
  expect(same).toBe('result 0')
  expect(higher).toBe('result -1')
})

test('new namespaces are denied however clone asks for them', () => {
  const flags = [0x0002_0000n, 0x0400_0000n, 0x0800_0000n, 0x1000_0000n, 0x2000_0000n, 0x4000_0000n, 0x0200_0000n]
  const calls: readonly Call[] = [
    ...flags.map((flag): Call => ({ kind: 'native', nr: number('clone'), args: [flag] })),
    { kind: 'native', nr: number('unshare'), args: [0x1000_0000n] },
    { kind: 'native', nr: number('clone3') },
  ]
  expect(outcomes(moby(), calls)).toEqual([...calls.slice(1).map(() => 'result -1'), `result -${ENOSYS}`])
})

test('killing, trapping and errno reach the process', () => {
  const profile: Seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [],
    syscalls: [
      rule(['getpid'], 'SCMP_ACT_KILL_PROCESS'),
      rule(['getppid'], 'SCMP_ACT_TRAP'),
      rule(['getuid'], 'SCMP_ACT_ERRNO', 4095),
      rule(['getgid'], 'SCMP_ACT_KILL'),
    ],
  }
  const calls = ['getpid', 'getppid', 'getuid', 'getgid'].map((name): Call => ({ kind: 'native', nr: number(name) }))
  expect(outcomes(compile(profile), calls)).toEqual([
    `signal ${SIGSYS}`,
    `signal ${SIGSYS}`,
    'result -4095',
    `signal ${SIGSYS}`,
  ])
})

test('a call newer than the profile is said not to exist', () => {
  const calls: readonly Call[] = [
    { kind: 'native', nr: 600 },
    { kind: 'native', nr: 4000 },
  ]
  expect(outcomes(moby(), calls)).toEqual([`result -${ENOSYS}`, `result -${ENOSYS}`])
})

test.if(isX86)('32-bit calls of a 64-bit process are judged by their own numbers', () => {
  const names = ['mount', 'unshare', 'keyctl', 'add_key', 'umount2', 'ptrace', 'bpf', 'clone3', 'init_module']
  const filter = moby()
  const calls: readonly Call[] = [
    ...names.map((name): Call => ({ kind: 'x86', nr: syscallNumber('x86', name) ?? Number.NaN })),
    { kind: 'x86', nr: 120, args: [0x1000_0000n] },
    { kind: 'x86', nr: 20 },
  ]
  const seen = outcomes(filter, calls)
  for (const [index, call] of calls.entries()) {
    const verdict = expected(filter, call)
    if (verdict !== undefined) expect([call.nr, seen[index]]).toEqual([call.nr, verdict])
  }
  expect(seen.at(-1)).toMatch(/^result \d+$/)
})

test.if(isX86)('x32 and 32-bit calls kill where the profile has only x86_64', () => {
  const profile: Seccomp = { ...denying(rule(['getpid'], 'SCMP_ACT_ALLOW')), architectures: ['SCMP_ARCH_X86_64'] }
  const calls: readonly Call[] = [
    { kind: 'native', nr: 0x4000_0000 + number('getpid') },
    { kind: 'x86', nr: 20 },
    { kind: 'native', nr: number('getpid') },
  ]
  expect(outcomes(compile(profile), calls)).toEqual([
    `signal ${SIGSYS}`,
    `signal ${SIGSYS}`,
    expect.stringMatching(/^result \d+$/),
  ])
})

test.if(isX86)("x32 calls are never let through by Docker's default profile", () => {
  const calls = ['mount', 'unshare', 'ptrace', 'keyctl', 'clone3'].map(
    (name): Call => ({ kind: 'native', nr: syscallNumber('x32', name) ?? Number.NaN }),
  )
  const filter = moby()
  const seen = outcomes(filter, calls)
  // This kernel has no x32 calls, so what the filter allows does not exist.
  expect(seen).toEqual(calls.map((call) => expected(filter, call) ?? `result -${ENOSYS}`))
})

test('a filter with a listener and every flag is taken', () => {
  const profile: Seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [],
    listenerPath: '/run/agent.sock',
    flags: [
      'SECCOMP_FILTER_FLAG_TSYNC',
      'SECCOMP_FILTER_FLAG_LOG',
      'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
      'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
    ],
    syscalls: [rule(['mkdir', 'mkdirat'], 'SCMP_ACT_NOTIFY')],
  }
  const compiled = compile(profile)
  expect(compiled.notifies).toBe(true)
  const [outcome] = outcomes(compiled, [{ kind: 'native', nr: number('getpid') }])
  expect(outcome).toMatch(/^result \d+$/)
})

test('the longest filter that the compiler makes is taken', () => {
  const values = Array.from({ length: 1950 }, (_, index) => 2 * index)
  const syscalls = values.map(
    (value): SeccompRule => ({
      ...rule(['ioctl'], 'SCMP_ACT_ALLOW'),
      args: [{ index: 1, op: 'SCMP_CMP_MASKED_EQ', value: 0xffff_fffe, valueTwo: value }],
    }),
  )
  const fitting = syscalls.slice(0, 1000)
  const compiled = compile(denying(rule(['exit_group', 'getpid'], 'SCMP_ACT_ALLOW'), ...fitting))
  expect(compiled.instructionCount).toBeGreaterThan(3000)
  const ioctl = number('ioctl')
  const calls: readonly Call[] = [
    { kind: 'native', nr: number('getpid') },
    { kind: 'native', nr: ioctl, args: [~0n & ((1n << 64n) - 1n), 2001n] },
    { kind: 'native', nr: ioctl, args: [~0n & ((1n << 64n) - 1n), 0n] },
    { kind: 'native', nr: ioctl, args: [~0n & ((1n << 64n) - 1n), 1998n] },
  ]
  expect(outcomes(compiled, calls).slice(1)).toEqual(['result -1', 'result -9', 'result -9'])
  expect(() => compile(denying(...syscalls))).toThrow(/instructions, and Linux takes 4096/)
})
