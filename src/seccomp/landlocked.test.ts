import { expect, test } from 'bun:test'
import { syscallNumber } from '../linux/syscalls.ts'
import { auditArch } from './architectures.ts'
import { compileSeccomp } from './compile.ts'
import { verdictText } from './disassemble.ts'
import { runFilter } from './interpret.ts'
import { landlockedProfile } from './landlocked.ts'

type Options = Partial<Pick<Parameters<typeof landlockedProfile>[0], 'network' | 'changesAttributes'>>

function passes(name: string, args: readonly number[] = [], options: Options = {}, on: 'x86_64' | 'x86' = 'x86_64') {
  const profile = landlockedProfile({
    capabilities: [],
    nativeArchitecture: 'SCMP_ARCH_X86_64',
    kernel: { major: 6, minor: 18 },
    network: 'none',
    changesAttributes: false,
    ...options,
  })
  const { filter } = compileSeccomp(profile, { nativeArchitecture: 'SCMP_ARCH_X86_64' })
  const call = { nr: syscallNumber(on, name) ?? Number.NaN, arch: auditArch(on), args }
  return verdictText(runFilter(filter, call).value) === 'ALLOW'
}

test('nothing makes a socket that leads out, whatever flags it has', () => {
  expect(passes('socket', [1, 1, 0])).toBe(false)
  expect(passes('socket', [2, 1, 0])).toBe(false)
  expect([1, 5, 1 | 0o2000000, 5 | 0o4000].map((type) => passes('socketpair', [1, type]))).toEqual(Array(4).fill(true))
  expect([2, 3, 2 | 0o2000000].map((type) => passes('socketpair', [1, type]))).toEqual(Array(3).fill(false))
  expect(['connect', 'bind', 'listen', 'accept4'].map((name) => passes(name))).toEqual(Array(4).fill(false))
})

test('with the network of the machine there is IP, and no unix socket', () => {
  const host = { network: 'host' } as const
  expect([1, 2, 10, 38, 40].map((family) => passes('socket', [family, 1, 0], host))).toEqual([
    false,
    true,
    true,
    false,
    false,
  ])
  expect([passes('socket', [16, 3, 0], host), passes('socket', [16, 3, 9], host)]).toEqual([true, false])
  expect([passes('connect', [], host), passes('socketpair', [1, 2], host)]).toEqual([true, false])
})

test('calls that take a pid are about the caller', () => {
  for (const name of ['prlimit64', 'sched_setaffinity', 'sched_setscheduler'])
    expect([passes(name, [0]), passes(name, [7])]).toEqual([true, false])
  expect([passes('setpriority', [0, 0]), passes('setpriority', [0, 7]), passes('setpriority', [2, 0])]).toEqual([
    true,
    false,
    false,
  ])
})

test('nobody leaves the session, the namespaces or the architecture', () => {
  for (const name of ['setsid', 'setpgid', 'unshare', 'setns', 'io_uring_setup', 'shmget', 'inotify_add_watch'])
    expect([name, passes(name)]).toEqual([name, false])
  expect(passes('read', [], {}, 'x86')).toBe(false)
  expect(passes('openat')).toBe(true)
})

test('attributes of files are a choice', () => {
  expect([passes('chmod'), passes('utimensat'), passes('fsetxattr')]).toEqual([false, false, false])
  expect([
    passes('chmod', [], { changesAttributes: true }),
    passes('utimensat', [], { changesAttributes: true }),
  ]).toEqual([true, true])
})
