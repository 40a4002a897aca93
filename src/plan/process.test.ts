import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import type { Process } from '../oci/process.ts'
import type { Step } from './plan.ts'
import { type ProcessRequest, planCwdAsUser, planProcess } from './process.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const process: Process = {
  terminal: false,
  user: { uid: 0, gid: 0, additionalGids: [] },
  args: ['/bin/sh'],
  env: [],
  cwd: '/',
  rlimits: [],
  noNewPrivileges: false,
}
const request: ProcessRequest = {
  id: 'web-1',
  process,
  linux: {},
  hasOwnKeyring: true,
  hasUserNamespace: false,
  makesCwd: true,
}
const host = { architecture: 'x86_64' } as const

test('a process without wishes gets a session, a keyring, the root and the usual umask', () => {
  expect(calls(planProcess(request, host))).toBe(
    [
      'setsid()',
      'session-keyring = keyctl(KEYCTL_JOIN_SESSION_KEYRING, "_ses.web-1") or ENOSYS or EPERM',
      '  then: keyctl(KEYCTL_SETPERM, session-keyring, 0x3f1b0000)',
      'chdir("/")',
      'umask(0022)',
    ].join('\n'),
  )
})

test('in a user namespace others may search the keyring, as its users have other ids', () => {
  const steps = planProcess({ ...request, hasUserNamespace: true }, host)
  expect(calls(steps)).toContain('0x3f130008')
})

test('with --no-new-keyring the keyring of the caller stays', () => {
  expect(calls(planProcess({ ...request, hasOwnKeyring: false }, host))).not.toContain('keyctl')
})

test('a missing working directory is made below descriptors that no magic link led to', () => {
  const steps = planProcess({ ...request, process: { ...process, cwd: '/srv//./app/' }, hasOwnKeyring: false }, host)
  expect(calls(steps)).toBe(
    [
      'setsid()',
      'chdir("/srv//./app/")',
      '  otherwise: umask(0022)',
      '  cwd-parent = openat2("/", O_PATH|O_DIRECTORY, RESOLVE_NO_MAGICLINKS) or EACCES',
      '    then: mkdirat(cwd-parent, "srv", 0755) or EEXIST or EACCES',
      '    close(cwd-parent)',
      '  cwd-parent = openat2("/srv", O_PATH|O_DIRECTORY, RESOLVE_NO_MAGICLINKS) or EACCES',
      '    then: mkdirat(cwd-parent, "app", 0755) or EEXIST or EACCES',
      '    close(cwd-parent)',
      '  chdir("/srv//./app/") or EACCES',
      'umask(0022)',
    ].join('\n'),
  )
})

test('a process of exec makes no directory', () => {
  const steps = planProcess({ ...request, process: { ...process, cwd: '/srv' }, makesCwd: false }, host)
  expect(calls(steps)).not.toContain('mkdirat')
})

test('the user enters a directory that root could not enter, and one outside of the root is refused', () => {
  expect(calls(planCwdAsUser('/srv'))).toBe(
    ['getcwd(&cwd) >= 3 else EACCES', '  otherwise: chdir("/srv")', 'getcwd(&cwd) if cwd[0:1] == 47 else EXDEV'].join(
      '\n',
    ),
  )
  expect(planCwdAsUser('/')).toEqual([])
})

test('personality and memory policy come before the labels', () => {
  const linux = {
    personality: { domain: 'LINUX32' },
    memoryPolicy: { mode: 'MPOL_BIND', nodes: [{ first: 0, last: 1 }], flags: ['MPOL_F_STATIC_NODES'] },
  } as const
  const steps = planProcess(
    { ...request, linux, process: { ...process, apparmorProfile: 'web' }, hasOwnKeyring: false },
    host,
  )
  expect(calls(steps)).toBe(
    [
      'setsid()',
      'personality(PER_LINUX32)',
      'set_mempolicy(MPOL_BIND|MPOL_F_STATIC_NODES, [0-1])',
      'attribute = openat2(host-proc, "self/attr/apparmor/exec", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS)',
      '  otherwise: attribute = openat2(host-proc, "self/attr/exec", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS)',
      'write(attribute, "exec web")',
      'close(attribute)',
      'chdir("/")',
      'umask(0022)',
    ].join('\n'),
  )
})
