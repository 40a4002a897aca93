/** Seccomp filters of containers: what the program may call, and what it is answered. */

import { afterEach, expect, test } from 'bun:test'
import { join } from 'node:path'
import { syscallNumber } from '../../src/linux/syscalls.ts'
import { mobyDefaultProfile } from '../../src/seccomp/moby-default.ts'
import type { Changes } from './bundle.ts'
import { installInside } from './programs.ts'
import { receive } from './receive.ts'
import { expectNothingLeft, makeSite, type Site } from './site.ts'

afterEach(expectNothingLeft)

const isX86 = process.arch === 'x64'
const architecture = isX86 ? 'x86_64' : 'aarch64'
const native = isX86 ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'
const ENOSYS = -38
const EPERM = -1

/** Docker's profile for a container with few capabilities, as a document. */
const moby = {
  'linux.seccomp': mobyDefaultProfile({ capabilities: [], nativeArchitecture: native, kernel: { major: 6, minor: 1 } }),
}

const number = (name: string): number => syscallNumber(architecture, name) ?? -1

interface Rule {
  readonly names: readonly string[]
  readonly action: string
  readonly errnoRet?: number
  readonly args?: readonly object[]
}

const allowingBut = (...syscalls: readonly Rule[]): Changes => ({
  'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', architectures: [native], syscalls },
})

/** What calls are answered inside, in one container. */
function results(
  site: Site,
  calls: readonly (readonly [name: string, ...args: readonly string[]])[],
  changes: Changes,
): readonly number[] {
  const lines = calls.map(([name, ...args]) => `inside call ${number(name)} ${args.join(' ')}`)
  return site.inside(lines.join('; '), changes).trim().split('\n').map(Number)
}

const SYSTEM =
  'add_key bpf init_module finit_module delete_module kexec_load keyctl request_key mount umount2 move_mount open_tree fsopen pivot_root ptrace quotactl reboot setns swapon swapoff unshare userfaultfd perf_event_open acct settimeofday clock_settime open_by_handle_at io_uring_setup io_uring_enter io_uring_register kcmp lookup_dcookie nfsservctl vhangup'
const MACHINE = isX86 ? ' iopl ioperm' : ''

test("what Docker's profile denies is denied inside, whatever the arguments (S78, S80, S81, S82)", () => {
  using site = makeSite()
  installInside(site)
  const names = (SYSTEM + MACHINE)
    .split(' ')
    .filter((name) => number(name) >= 0 && name !== 'ptrace' && name !== 'kcmp')
  const answers = results(
    site,
    names.map((name) => [name, '-1', '-1', '-1']),
    moby,
  )
  expect(Object.fromEntries(names.map((name, index) => [name, answers[index]]))).toEqual(
    Object.fromEntries(names.map((name) => [name, EPERM])),
  )
})

test('no new namespace is made by clone, and clone3 is not there (S78)', () => {
  using site = makeSite()
  installInside(site)
  const flags = ['0x20000', '0x2000000', '0x4000000', '0x8000000', '0x10000000', '0x20000000', '0x40000000']
  const answers = results(
    site,
    [...flags.map((flag) => ['clone', flag] as const), ['clone3', '0', '0'], ['getpid']],
    moby,
  )
  expect(answers.slice(0, -1)).toEqual([...flags.map(() => EPERM), ENOSYS])
  expect(answers.at(-1)).toBeGreaterThan(0)
})

test('sockets of AF_ALG and AF_VSOCK are denied, and the usual ones are not (S83)', () => {
  using site = makeSite()
  installInside(site)
  const script = [1, 2, 10, 16, 38, 40].map((family) => `inside socket ${family}`).join('; ')
  expect(site.inside(script, moby).trim().split('\n').map(Number)).toEqual([0, 0, 0, 0, EPERM, EPERM])
})

test.if(isX86)('32-bit calls of a 64-bit program are judged by their own numbers (S76)', () => {
  using site = makeSite()
  installInside(site)
  const names = ['mount', 'unshare', 'keyctl', 'add_key', 'umount2', 'init_module'] as const
  const script = names.map((name) => `inside call32 ${syscallNumber('x86', name)} -1 -1 -1`).join('; ')
  expect(site.inside(script, moby).trim().split('\n').map(Number)).toEqual(names.map(() => EPERM))
  const allowed = site.inside(`inside call32 ${syscallNumber('x86', 'getpid')}`, moby)
  expect(Number(allowed)).toBeGreaterThan(0)
})

test('the errno is the one of the rule, and of the profile where the rule has none', () => {
  using site = makeSite()
  installInside(site)
  const seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [native],
    syscalls: [
      { names: ['getsid'], action: 'SCMP_ACT_ERRNO', errnoRet: 42 },
      { names: ['getpgid'], action: 'SCMP_ACT_ERRNO' },
      { names: ['no_such_call', 'getpriority'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 },
    ],
  }
  expect(results(site, [['getsid'], ['getpgid'], ['getpriority', '0', '0']], { 'linux.seccomp': seccomp })).toEqual([
    -42, -1, -95,
  ])
})

test('a killed program ends with SIGSYS, and so does a trapped one', () => {
  using site = makeSite()
  installInside(site)
  for (const action of ['SCMP_ACT_KILL', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_KILL_THREAD', 'SCMP_ACT_TRAP']) {
    site.up(allowingBut({ names: ['getsid'], action }))
    const { exitCode } = site.call(['exec', site.id, 'inside', 'call', `${number('getsid')}`])
    expect([action, exitCode]).toEqual([action, 128 + 31])
    site.call(['delete', '--force', site.id])
  }
})

test('a profile that allows only some calls lets a program run', () => {
  using site = makeSite()
  installInside(site)
  const names =
    'execve exit_group exit brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlinkat readlink getrandom mprotect newfstatat fstat write writev read uname mmap munmap capset fcntl ioctl'.split(
      ' ',
    )
  const seccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: [native],
    syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }],
  }
  site.configure({ 'linux.seccomp': seccomp, 'process.args': ['inside', 'call', `${number('getpid')}`] })
  const { stdout } = site.call(['run', site.id])
  expect(stdout).toBe(`${EPERM}\n`)
})

test('the filter is in force for exec, without and with no_new_privs, as root and as a user (S69)', () => {
  using site = makeSite()
  for (const noNewPrivileges of [true, false]) {
    site.up({ ...moby, 'process.noNewPrivileges': noNewPrivileges })
    for (const flags of [[], ['--user', '1000:1000']]) {
      const { stdout } = site.exec(
        'grep -E "^(Seccomp|Seccomp_filters|NoNewPrivs|CapEff):" /proc/self/status',
        ...flags,
      )
      const own = site.exec('grep -E "^(Seccomp|Seccomp_filters|NoNewPrivs|CapEff):" /proc/1/status').stdout
      expect(stdout).toMatch(/Seccomp:\t2\nSeccomp_filters:\t1/)
      if (flags.length === 0) expect(stdout).toBe(own)
    }
    site.call(['delete', '--force', site.id])
  }
})

test('an agent answers what the filter asks, and is told of the container', async () => {
  using site = makeSite()
  for (const [errno, expected] of [
    ['42', /No message of desired type/],
    ['0', /^$/],
  ] as const) {
    using agent = receive(site, 'notify', errno)
    site.configure({
      'root.readonly': false,
      annotations: { a: 'b' },
      'process.args': ['sh', '-c', 'mkdir /tmp/made 2>&1'],
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: [native],
        listenerPath: agent.socket,
        listenerMetadata: 'of the test',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }],
      },
    })
    const { stdout } = site.call(['run', site.id])
    expect(stdout).toMatch(expected)
    await agent.exited
    const state = JSON.parse(agent.output())
    expect(state).toMatchObject({
      fds: ['seccompFd'],
      metadata: 'of the test',
      state: { id: site.id, status: 'creating', bundle: site.bundle, annotations: { a: 'b' } },
    })
    expect(state.pid).toBe(state.state.pid)
  }
})

test('an agent that is not there fails create, and nothing is left', () => {
  using site = makeSite()
  site.configure({
    'linux.seccomp': {
      defaultAction: 'SCMP_ACT_ALLOW',
      listenerPath: join(site.directory, 'nobody'),
      syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
    },
  })
  expect(site.call(['create', site.id]).exitCode).toBe(1)
  expect(site.leaks()).toEqual([])
})

test('words of a profile that nobody knows are errors that name the field (S87)', () => {
  using site = makeSite()
  for (const [seccomp, words] of [
    [{ defaultAction: 'SCMP_ACT_NOTHING' }, 'linux.seccomp.defaultAction'],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_MAYBE' }] },
      'syscalls[0].action',
    ],
    [
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 1, op: 'SCMP_CMP_ODD' }] }],
      },
      'args[0].op',
    ],
    [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_Z80'] }, 'linux.seccomp.architectures[0]'],
    [{ defaultAction: 'SCMP_ACT_NOTIFY' }, 'SCMP_ACT_NOTIFY'],
  ] as const) {
    const { exitCode, stderr } = site.run({ 'linux.seccomp': seccomp })
    expect([exitCode, stderr.includes(words) ? words : stderr]).toEqual([1, words])
  }
})
