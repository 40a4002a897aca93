import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import type { Process } from '../oci/process.ts'
import { showPlace, watchDenials } from './denials.ts'

const process: Process = {
  args: ['true'],
  env: [],
  cwd: '/work',
  terminal: false,
  user: { uid: 1000, gid: 1000, additionalGids: [] },
  noNewPrivileges: true,
  rlimits: [],
}

const watched = { process, hasUserNamespace: false, canSetGroups: true, passed: [2, 257] }

test('the supervisor sees what the process sees, as its user, with one capability', () => {
  const lines = linesOf(watchDenials(watched, planHost())).split('\n')
  const child = lines.filter((line) => line.startsWith('  ')).map((line) => line.trim())
  expect(child.slice(0, 2)).toEqual(['fchdir(denials-root)', 'chroot(".")'])
  expect(child.filter((line) => line.includes('PR_CAPBSET_DROP'))).toHaveLength(40)
  expect(child.some((line) => /capset\(.*CAP_SYS_PTRACE/.test(line))).toBe(true)
  expect(child).toContain('setresuid(1000, 1000, 1000)')
  expect(child.at(-1)).toMatch(/^execveat\(denials-program, \["coffer-denials", "<seccomp-listener>"/)
  expect(lines.some((line) => line.includes('CLONE_PARENT'))).toBe(true)
})

test('in a user namespace it is a user of that, which the process has shown', () => {
  const lines = linesOf(watchDenials({ ...watched, hasUserNamespace: true }, planHost({ isRootless: true })))
  expect(lines).toContain('setns(denials-user, CLONE_NEWUSER)')
  expect(linesOf(showPlace(true))).toContain('shown = openat("/proc/self/ns/user", O_RDONLY)')
  expect(linesOf(showPlace(false))).not.toContain('/proc')
})
