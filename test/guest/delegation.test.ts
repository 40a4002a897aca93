/** Cgroups of v2 that are not the whole machine's: of users, in containers, and with processes where there must be none. */

import { afterEach, expect, test } from 'bun:test'
import { chownSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultSpec } from '../../src/oci/spec.ts'
import { bind, type Changes } from '../kernel/bundle.ts'
import { until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, PROGRAMS, type Site } from '../kernel/site.ts'
import { CGROUPS, DIVIDES_ITS_CGROUP, limits, MIB, setting } from './guest.ts'

afterEach(expectNothingLeft)

const UID = 1000
const PRINT = 'cat /proc/self/cgroup; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max'
const OWN = [{ type: 'cgroup' }]
const LIMITS = { memory: { limit: 48 * MIB }, pids: { limit: 40 } }

test('a cgroup with processes in it hands on no controllers: a limit below it fails with a hint, and nothing is left', async () => {
  using site = makeSite()
  const parent = `${CGROUPS}${site.cgroup}`
  mkdirSync(parent)
  const sleeper = Bun.spawn(['sleep', '1000'])
  writeFileSync(`${parent}/cgroup.procs`, `${sleeper.pid}`)
  const below = { 'linux.cgroupsPath': `${site.cgroup}/container`, 'process.args': ['cat', '/proc/self/cgroup'] }
  const { exitCode, stderr } = site.run({ ...below, ...limits(LIMITS) })
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^error: cannot hand memory, pids on .*write\(.*cgroup\.subtree_control\) = EBUSY\n/)
  expect(stderr).toContain('hint:  a cgroup with processes cannot give controllers to its children')
  // Without limits there is nothing to hand on.
  expect(site.run({ ...below, ...limits({}) })).toMatchObject({ exitCode: 0, stdout: `0::${site.cgroup}/container\n` })
  sleeper.kill()
  await sleeper.exited
  rmdirSync(parent)
})

test('a cgroup that hands controllers on takes no container', () => {
  using site = makeSite()
  const cgroup = `${CGROUPS}${site.cgroup}`
  mkdirSync(cgroup)
  writeFileSync(`${CGROUPS}/cgroup.subtree_control`, '+memory')
  writeFileSync(`${cgroup}/cgroup.subtree_control`, '+memory')
  const { exitCode, stderr } = site.run()
  expect(exitCode).toBe(1)
  expect(stderr).toContain('hint:  that cgroup hands controllers on, so no process can be in it')
  rmdirSync(cgroup)
})

/** A cgroup that was given to the user, with a cgroup in it for who calls. */
function delegate(site: Site): string {
  const directory = `${CGROUPS}/user-${site.id}`
  mkdirSync(directory)
  writeFileSync(`${CGROUPS}/cgroup.subtree_control`, '+memory +pids')
  mkdirSync(`${directory}/session`)
  for (const path of [
    '',
    '/cgroup.procs',
    '/cgroup.threads',
    '/cgroup.subtree_control',
    '/session',
    '/session/cgroup.procs',
  ])
    chownSync(`${directory}${path}`, UID, UID)
  mkdirSync(site.root())
  chownSync(site.root(), UID, UID)
  return directory
}

const asUser = (cgroup: string): readonly string[] => [
  'sh',
  '-c',
  `echo 0 >${cgroup}/session/cgroup.procs && exec setpriv --reuid ${UID} --regid ${UID} --clear-groups "$@"`,
  'sh',
]

function rootless(resources: object, namespaces: readonly object[]): Changes {
  const spec = defaultSpec({ rootless: true, hostUid: UID, hostGid: UID, hasCgroupV2Only: false })
  const linux = { ...spec.linux, namespaces: [...spec.linux.namespaces, ...namespaces], resources }
  return { mounts: spec.mounts, linux, 'linux.cgroupsPath': undefined }
}

for (const [view, namespaces, seen] of [
  ['its own cgroup namespace', OWN, () => '/'],
  ['the cgroup namespace of the host', [], (site: Site) => `/user-${site.id}/coffer-${site.id}`],
] as const)
  test(`a user sets limits in a cgroup that was delegated to it, with ${view}`, () => {
    using site = makeSite()
    const cgroup = delegate(site)
    const call = { through: asUser(cgroup) }
    expect(site.inside(PRINT, rootless(LIMITS, namespaces), call)).toBe(`0::${seen(site)}\n${48 * MIB}\n40\n`)
    site.up(rootless(LIMITS, namespaces), call)
    const own = { cgroup: `/user-${site.id}/coffer-${site.id}` }
    expect([setting(own, 'memory.max'), setting(own, 'pids.max')]).toEqual([`${48 * MIB}`, '40'])
    // An ordinary user can pause, change and kill its own.
    const asked = (...args: readonly string[]): number | null => site.call([...args, site.id], call).exitCode
    expect([asked('update', '--pids-limit', '30'), setting(own, 'pids.max')]).toEqual([0, '30'])
    expect([asked('pause'), setting(own, 'cgroup.freeze')]).toEqual([0, '1'])
    expect([asked('resume'), asked('events', '--stats'), asked('exec', site.id, 'true')]).toEqual([0, 0, 0])
    expect(asked('delete', '--force')).toBe(0)
    rmdirSync(`${cgroup}/session`)
    rmdirSync(cgroup)
  })

test('a user without a cgroup of its own runs containers, and is told how to get one for limits', () => {
  using site = makeSite()
  mkdirSync(site.root())
  chownSync(site.root(), UID, UID)
  const through = ['setpriv', '--reuid', `${UID}`, '--regid', `${UID}`, '--clear-groups']
  for (const namespaces of [OWN, []])
    expect(site.inside('ls /sys/fs/cgroup', rootless({}, namespaces), { through })).toBe('')
  const { exitCode, stderr } = site.run(rootless(LIMITS, OWN), { through })
  expect(exitCode).toBe(1)
  expect(stderr).toContain("is not this user's to divide")
  expect(stderr).toContain('systemd-run --user --scope -p Delegate=yes')
})

const POWERFUL =
  'CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_RESOURCE CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_MKNOD CAP_DAC_OVERRIDE CAP_SYS_PTRACE ' +
  'CAP_AUDIT_WRITE CAP_KILL CAP_NET_BIND_SERVICE'

/** A container that may make containers: it has the program at /mnt and a bundle at /root. */
function outer({ bundle }: Site, script: string): Changes {
  return {
    ...DIVIDES_ITS_CGROUP,
    '+mounts': [
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
      bind(join(PROGRAMS.coffer, '..'), '/mnt', 'ro'),
      bind(bundle, '/root', 'ro'),
    ],
    'process.capabilities': Object.fromEntries(
      ['bounding', 'effective', 'permitted'].map((set) => [set, POWERFUL.split(' ')]),
    ),
    'linux.maskedPaths': undefined,
    'linux.readonlyPaths': undefined,
    'process.args': ['sh', '-c', script],
  }
}

const NESTED = '/mnt/coffer-runc --root /tmp/run run --bundle /root inner'

test('a container in a container has limits of its own below those of the outer one', () => {
  using site = makeSite()
  using inner = makeSite()
  inner.configure({ 'linux.cgroupsPath': '/inner', ...limits(LIMITS), 'process.args': ['sh', '-c', PRINT] })
  const leave = 'mkdir /sys/fs/cgroup/init && echo 0 >/sys/fs/cgroup/init/cgroup.procs'
  site.configure(outer(inner, `${leave}; ${NESTED} 2>&1; echo "exit status $?"; exec sleep 1000`))
  expect(site.call(['run', '--detach', site.id]).exitCode).toBe(0)
  const output = site.output()
  until('the inner one to end', () => readFileSync(output, 'utf8').includes('exit status'))
  expect(readFileSync(output, 'utf8')).toBe(`0::/inner\n${48 * MIB}\n40\nexit status 0\n`)
  expect(existsSync(`${CGROUPS}${site.cgroup}/inner`)).toBe(false)
})

test('a container that is in its own cgroup itself is told that it hands nothing on', () => {
  using site = makeSite()
  using inner = makeSite()
  inner.configure({ 'linux.cgroupsPath': '/inner', ...limits(LIMITS) })
  const { exitCode, stderr } = site.run(outer(inner, NESTED))
  expect(exitCode).toBe(1)
  expect(stderr).toContain('hint:  a cgroup with processes cannot give controllers to its children')
})
