import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import type { Process } from '../oci/process.ts'
import type { Step } from './plan.ts'
import { planIdentity, planNarrow } from './process-identity.ts'

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
  capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
  rlimits: [],
  noNewPrivileges: false,
}
const user = { uid: 1000, gid: 1001, additionalGids: [5, 4294967294] }
// So that there is only one capability to drop.
const host = { lastCapability: 0 }
const request = { process, canSetGroups: true, hasFilter: false }

test('root drops the groups of the caller, and needs no step to stay root', () => {
  const steps = planIdentity(request, host)
  expect(steps.map(({ call }) => call.name)).toEqual(['prctl', 'setgroups', 'setresgid', 'setresuid', 'capset'])
  expect(steps[1]?.call.args[0]).toBe(0)
})

test('another user: bounding set, groups, user, not dumpable, capabilities, directory, no_new_privs, in this order', () => {
  const other = { ...process, user, cwd: '/srv', noNewPrivileges: true, terminal: true }
  const names = planIdentity({ ...request, process: other }, host).map(({ call }) => call.name)
  expect(names).toEqual([
    'prctl',
    'prctl',
    'setgroups',
    'setresgid',
    'setresuid',
    'prctl',
    'capset',
    'getcwd',
    'getcwd',
    'prctl',
  ])
  const prctls = planIdentity({ ...request, process: other }, host).filter(({ call }) => call.name === 'prctl')
  expect(calls(prctls)).toBe(
    [
      'prctl(PR_CAPBSET_DROP, CAP_CHOWN)',
      'prctl(PR_SET_KEEPCAPS, 1)',
      'prctl(PR_SET_DUMPABLE, 0)',
      'prctl(PR_SET_NO_NEW_PRIVS, 1)',
    ].join('\n'),
  )
})

test('groups are passed exactly, up to the last id that there is', () => {
  const steps = planIdentity({ ...request, process: { ...process, user } }, host)
  const groups = steps.find(({ call }) => call.name === 'setgroups')
  expect(groups?.call.args).toEqual([2, new Uint8Array(Uint32Array.of(5, 4294967294).buffer)])
})

test('additional groups are refused where setgroups is denied, and without them it is left out', () => {
  const denied = { ...request, canSetGroups: false }
  expect(() => planIdentity({ ...denied, process: { ...process, user } }, host)).toThrow(
    'cannot put the process into the groups 5, 4294967294: setgroups(2) is denied',
  )
  expect(calls(planIdentity(denied, host))).not.toContain('setgroups')
})

test('standard streams become those of the user, but for devices', () => {
  const [stdin] = planIdentity({ ...request, process: { ...process, user } }, host)
  expect(stdin === undefined ? '' : calls([stdin])).toBe(
    [
      'statx(0, STATX_TYPE, &stream) if stream[28:30] & 0xb000 == 0x2000 else ENOTBLK',
      '  otherwise: fchown(0, 1000, -1) or EINVAL or EPERM or EROFS or EBADF',
    ].join('\n'),
  )
})

test('a filter without no_new_privs leaves CAP_SYS_ADMIN until it is loaded, and no longer', () => {
  const filtered = { ...request, hasFilter: true }
  const names = (steps: readonly Step[]): readonly string[] => steps.map(({ call }) => call.name)
  expect(planIdentity(filtered, { lastCapability: 40 }).at(-1)?.why).toBe(
    'have its capabilities, and CAP_SYS_ADMIN for now',
  )
  expect(names(planNarrow(filtered, host))).toEqual(['capset'])
  expect(planNarrow({ ...filtered, process: { ...process, noNewPrivileges: true } }, host)).toEqual([])
  expect(planNarrow(request, host)).toEqual([])
  const admin = {
    bounding: [],
    effective: ['CAP_SYS_ADMIN'],
    permitted: ['CAP_SYS_ADMIN'],
    inheritable: [],
    ambient: [],
  }
  expect(planNarrow({ ...filtered, process: { ...process, capabilities: admin } }, host)).toEqual([])
})
