import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import { type LandlockedRequest, planLandlocked, rulesetOf } from './landlocked.ts'

const SECCOMP: Seccomp = { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], syscalls: [] }

const request = (change: Partial<LandlockedRequest> = {}): LandlockedRequest => ({
  id: 'one',
  args: ['/bin/true'],
  env: [],
  cwd: '/',
  stdio: { stdout: '/run/out', stderr: '/run/err' },
  supervised: { control: '/run/control' },
  rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
  seccomp: SECCOMP,
  abi: 7,
  network: 'none',
  rules: [
    { path: '/usr', isDirectory: true, access: 'read', isNeeded: false },
    { path: '/etc/passwd', isDirectory: false, access: 'read', isNeeded: false },
    { path: '/srv', isDirectory: true, access: 'write', isNeeded: true },
    { path: '/dev/null', isDirectory: false, access: 'data', isNeeded: false },
  ],
  ...change,
})

const lines = (change: Partial<LandlockedRequest> = {}): readonly string[] =>
  linesOf(planLandlocked(request(change), planHost({ isRootless: true, hostUid: 1000 })).steps)
    .split('\n')
    .map((line) => line.trim())

test('a rule has no right of directories for a file, no device for anybody, and is left out for what has gone', () => {
  const all = lines()
  const rights = all
    .filter((line) => line.startsWith('landlock_add_rule'))
    .map((line) => line.replace(/^.*allowed_access=(.*), parent_fd.*$/, '$1').replaceAll('LANDLOCK_ACCESS_FS_', ''))
  expect(rights).toEqual([
    'EXECUTE|READ_FILE|READ_DIR',
    'EXECUTE|READ_FILE',
    'EXECUTE|WRITE_FILE|READ_FILE|READ_DIR|REMOVE_DIR|REMOVE_FILE|MAKE_DIR|MAKE_REG|MAKE_SOCK|MAKE_FIFO|MAKE_SYM|REFER|TRUNCATE',
    'WRITE_FILE|READ_FILE',
  ])
  expect(all).toContain('beneath = openat("/usr", O_PATH|O_NOFOLLOW) or ENOENT or EACCES or ENOTDIR')
  expect(all).toContain('beneath = openat("/srv", O_PATH|O_NOFOLLOW)')
})

test('it is restricted before it is looked for a program, and filtered last', () => {
  const order = [
    'setsid',
    'prctl(PR_SET_NO_NEW_PRIVS',
    'landlock_restrict_self',
    'faccessat2',
    'prlimit64',
    'seccomp',
    'execve',
  ]
  const all = lines()
  const places = order.map((start) => all.findIndex((line) => line.startsWith(start)))
  expect(places.every((place) => place >= 0)).toBe(true)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
})

test('all that it started is killed before it is waited for', () => {
  const end = lines().slice(-4)
  expect(end.map((line) => line.replace(/\(.*/, ''))).toEqual([
    'pidfd_send_signal',
    'pidfd_send_signal',
    'waitid',
    'clock_gettime',
  ])
})

test('a kernel is asked for the rights that its version has', () => {
  expect(rulesetOf({ abi: 4, network: 'none' })).toEqual({ handledFs: 0x7fff, handledNet: 3, scoped: 0 })
  expect(rulesetOf({ abi: 5, network: 'none' })).toEqual({ handledFs: 0xffff, handledNet: 3, scoped: 0 })
  expect(rulesetOf({ abi: 6, network: 'host' })).toEqual({ handledFs: 0xffff, handledNet: 0, scoped: 3 })
})
