/** How a container gets into its cgroup of v2, what it sees of it, and what is told of it. cgroup_namespaces(7) */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite } from '../kernel/site.ts'
import { CGROUPS, counter, DIVIDES_ITS_CGROUP, host, limits, MIB, OWN_CGROUP_NAMESPACE, setting } from './guest.ts'

afterEach(expectNothingLeft)

const cgroupOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8')

test('the usual configuration has a cgroup namespace on a host with cgroup v2 only', () => {
  using site = makeSite()
  site.call(['spec'])
  const { linux } = JSON.parse(readFileSync(`${site.bundle}/config.json`, 'utf8'))
  expect(linux.namespaces).toContainEqual({ type: 'cgroup' })
})

test('with a cgroup namespace the cgroup of the container is the root of what it sees, read-only (S53, S129)', () => {
  using site = makeSite()
  const pid = site.up(OWN_CGROUP_NAMESPACE)
  expect(cgroupOf(pid)).toBe(`0::${site.cgroup}\n`)
  expect(site.exec('cat /proc/self/cgroup /proc/1/cgroup').stdout).toBe('0::/\n0::/\n')
  const [mount = ''] = site.exec('grep " /sys/fs/cgroup " /proc/self/mountinfo').stdout.split('\n')
  expect(mount.split(' ')[3]).toBe('/')
  expect(mount).toMatch(/ \/sys\/fs\/cgroup ro,nosuid,nodev,noexec,relatime( [a-z:0-9]+)* - cgroup2 /)
  expect(site.exec('cat /sys/fs/cgroup/cgroup.procs').stdout.split('\n')[0]).toBe('1')
  expect(site.exec('mkdir /sys/fs/cgroup/own').stderr).toContain('Read-only file system')
  expect(site.exec('echo max >/sys/fs/cgroup/pids.max').stderr).toContain('Read-only file system')
})

test('without one it sees its own cgroup all the same, and no other', () => {
  using site = makeSite()
  site.up(limits({ pids: { limit: 77 } }))
  expect(site.exec('cat /proc/1/cgroup').stdout).toBe(`0::${site.cgroup}\n`)
  expect(site.exec('cat /sys/fs/cgroup/pids.max; ls -d /sys/fs/cgroup/*/').stdout).toBe('77\n')
  expect(site.exec('echo max >/sys/fs/cgroup/pids.max').stderr).toContain('Read-only file system')
})

test('init is made in its cgroup by clone3, and nobody is moved', () => {
  using site = makeSite()
  site.configure({ 'process.args': ['true'] })
  const trace = `${site.directory}/trace`
  const through = ['strace', '-f', '-e', 'trace=clone3,openat', '-o', trace]
  expect(site.call(['run', site.id], { through }).exitCode).toBe(0)
  const lines = readFileSync(trace, 'utf8').split('\n')
  expect(lines.filter((line) => line.includes('CLONE_INTO_CGROUP'))).toHaveLength(1)
  expect(lines.filter((line) => /cgroup\.(procs|threads)".*O_(WRONLY|RDWR)/.test(line))).toEqual([])
})

test('the mount options of the host are as they were behind a container', () => {
  const options = (): string => host(`findmnt -n -o FS-OPTIONS ${CGROUPS}`)
  const before = options()
  host(`mount -o remount,nsdelegate,memory_recursiveprot ${CGROUPS}`)
  const wanted = options()
  expect(wanted).toContain('nsdelegate')
  for (const changes of [{}, OWN_CGROUP_NAMESPACE, DIVIDES_ITS_CGROUP]) {
    using site = makeSite()
    site.inside('true', changes)
    expect(options()).toBe(wanted)
  }
  {
    // What nsdelegate is for: root in the container owns all files of its cgroup, and still has the limits of the host.
    using site = makeSite()
    site.up({ ...DIVIDES_ITS_CGROUP, ...limits({ pids: { limit: 50 } }) })
    expect(site.exec('mkdir /sys/fs/cgroup/own').exitCode).toBe(0)
    expect(site.exec('echo max >/sys/fs/cgroup/pids.max').stderr).toContain('Operation not permitted')
    expect(setting(site, 'pids.max')).toBe('50')
  }
  // Named by its source, as mount(8) would keep the options otherwise.
  host(`mount -o remount,rw cgroup2 ${CGROUPS}`)
  expect(options()).toBe(before)
})

test('exec goes where init is, when init has divided the cgroup', () => {
  using site = makeSite()
  const divide = 'cd /sys/fs/cgroup; mkdir init; echo 1 >init/cgroup.procs; echo +pids >cgroup.subtree_control'
  const pid = site.up({ ...DIVIDES_ITS_CGROUP, 'process.args': ['sh', '-c', `${divide}; exec sleep 1000`] })
  until('init to move', () => cgroupOf(pid) === `0::${site.cgroup}/init\n`)
  until('it to hand pids on', () => setting(site, 'cgroup.subtree_control') === 'pids')
  expect(site.exec('cat /proc/self/cgroup').stdout).toBe('0::/init\n')
  expect(site.exec('cat /proc/self/cgroup', '--cgroup', '/').stderr).toContain('EBUSY')
  expect(JSON.parse(site.call(['ps', '--format', 'json', site.id]).stdout)).toEqual([pid])
})

test('run removes cgroups that the container made in its own', () => {
  using site = makeSite()
  expect(site.inside('mkdir -p /sys/fs/cgroup/a/b && echo made', DIVIDES_ITS_CGROUP)).toBe('made\n')
})

test('delete removes cgroups that the container made in its own, and ends processes in them', () => {
  using site = makeSite()
  const shared = { 'linux.namespaces': [{ type: 'mount' }, { type: 'cgroup' }] }
  const script = 'cd /sys/fs/cgroup; mkdir -p a/b; sleep 999 & echo $! >a/b/cgroup.procs; exec sleep 1000'
  const { mounts } = DIVIDES_ITS_CGROUP
  site.up({ mounts, ...shared, 'process.args': ['sh', '-c', script], hostname: undefined })
  until(
    'a process in a/b',
    () => existsSync(`${CGROUPS}${site.cgroup}/a/b`) && setting(site, 'a/b/cgroup.procs') !== '',
  )
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(existsSync(`${CGROUPS}${site.cgroup}`)).toBe(false)
})

test('pause freezes the cgroup, and what forks meanwhile is killed with it', () => {
  using site = makeSite()
  site.up({ 'process.args': ['sh', '-c', 'while :; do true & wait; done'] })
  expect(site.call(['pause', site.id]).exitCode).toBe(0)
  expect(setting(site, 'cgroup.events')).toBe('populated 1\nfrozen 1')
  expect(site.state().status).toBe('paused')
  const used = (): number => counter(site, 'cpu.stat', 'usage_usec')
  const before = used()
  Bun.sleepSync(300)
  expect(used()).toBe(before)
  expect(site.call(['resume', site.id]).exitCode).toBe(0)
  until('it to go on', () => setting(site, 'cgroup.events') === 'populated 1\nfrozen 0')
  until('it to work', () => used() > before)
  expect(site.call(['pause', site.id]).exitCode).toBe(0)
  expect(site.call(['kill', '--all', site.id, 'KILL']).exitCode).toBe(0)
  until('all to end', () => setting(site, 'cgroup.events').startsWith('populated 0'))
})

test('unified settings have the last word, and one that is no setting is refused', () => {
  using site = makeSite()
  const memory = { limit: 64 * MIB }
  site.up(limits({ memory, unified: { 'memory.max': `${32 * MIB}`, 'cpu.weight': '77', 'cgroup.max.depth': '3' } }))
  expect(['memory.max', 'cpu.weight', 'cgroup.max.depth'].map((file) => setting(site, file))).toEqual([
    `${32 * MIB}`,
    '77',
    '3',
  ])
  using other = makeSite()
  for (const [file, words] of [
    ['memory.nonsense', 'ENOENT'],
    ['nonsense.max', 'linux.resources.unified'],
    ['../session/memory.max', 'linux.resources.unified'],
  ] as const)
    expect(other.run(limits({ unified: { [file]: '1' } }))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(words),
    })
})

test('events tell what the files of v2 say, pressure among it', () => {
  using site = makeSite()
  site.up(limits({ memory: { limit: 64 * MIB }, pids: { limit: 50 } }))
  expect(site.exec('dd if=/dev/zero of=/dev/null bs=8M count=4 2>/dev/null').exitCode).toBe(0)
  const { type, data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
  expect(type).toBe('stats')
  expect(data.pids).toEqual({ current: 1, limit: 50 })
  expect(data.memory.usage.limit).toBe(64 * MIB)
  expect(data.memory.usage.max).toBeGreaterThan(8 * MIB)
  expect(data.memory.raw.anon).toBeNumber()
  // Each is rounded on its own, to microseconds.
  expect(data.cpu.usage.total - data.cpu.usage.user - data.cpu.usage.kernel).toBeWithin(-2000, 2001)
  const stall = {
    avg10: expect.any(Number),
    avg60: expect.any(Number),
    avg300: expect.any(Number),
    total: expect.any(Number),
  }
  for (const resource of ['cpu', 'memory', 'blkio']) expect(data[resource].psi).toEqual({ some: stall, full: stall })
})
