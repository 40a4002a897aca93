/** The configuration that `spec` writes, on the kernel of the guest and in each layout of cgroups that it is started with. */

import { afterEach, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { expectNothingLeft, makeSite, type Outcome, type Site } from '../kernel/site.ts'
import { limits, MIB } from './guest.ts'

afterEach(expectNothingLeft)

const { mode, hierarchies } = readCgroupLayout(nodeFiles())

/** `run` of that configuration, with nothing changed but what it runs and where its output goes. */
function runUsual(site: Site, script: string): Outcome {
  const path = `${site.bundle}/config.json`
  expect(site.call(['spec']).exitCode).toBe(0)
  const config = JSON.parse(readFileSync(path, 'utf8'))
  config.process = { ...config.process, terminal: false, args: ['sh', '-c', script] }
  config.linux.cgroupsPath = site.cgroup
  writeFileSync(path, JSON.stringify(config))
  return site.call(['run', site.id])
}

test('its mounts are there, with their options', () => {
  using site = makeSite()
  const { exitCode, stdout } = runUsual(site, 'cat /proc/self/mountinfo')
  expect(exitCode).toBe(0)
  const mounts = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, , , , place, options = '', ...more]) => `${place} ${options} ${more[more.indexOf('-') + 1]}`)
  expect(mounts).toContainEqual(expect.stringMatching(/^\/ ro,/))
  expect(mounts).toContain('/proc rw,relatime proc')
  expect(mounts).toContain('/dev rw,nosuid tmpfs')
  expect(mounts).toContain('/dev/pts rw,nosuid,noexec,relatime devpts')
  expect(mounts).toContain('/dev/shm rw,nosuid,nodev,noexec,relatime tmpfs')
  expect(mounts).toContain('/dev/mqueue rw,nosuid,nodev,noexec,relatime mqueue')
  expect(mounts).toContain('/sys ro,nosuid,nodev,noexec,relatime sysfs')
  expect(mounts).toContain(`/sys/fs/cgroup ro,nosuid,nodev,noexec,relatime ${mode === 'v2' ? 'cgroup2' : 'tmpfs'}`)
})

test('what tells of the host is masked, and what changes it is read-only', () => {
  using site = makeSite()
  const script =
    'wc -c </proc/kcore; ls /sys/firmware; for i in /proc/sys/kernel/hostname /proc/sysrq-trigger; do echo x >$i; done'
  const { stdout, stderr } = runUsual(site, script)
  expect(stdout.trim()).toBe('0')
  expect(stderr.match(/Read-only file system/g)).toHaveLength(2)
})

test('it is in a cgroup of its own in each hierarchy, and sees no other', () => {
  using site = makeSite()
  const { stdout } = runUsual(site, 'cat /proc/self/cgroup; find /sys/fs/cgroup -name cgroup.procs | wc -l')
  const lines = stdout.trim().split('\n')
  const path = mode === 'v2' ? '/' : site.cgroup
  expect(lines.pop()).toBe(`${hierarchies.length}`)
  expect(lines.map((line) => line.split(':')[2])).toEqual(hierarchies.map(() => path))
})

test('memory beyond the limit kills, and events tell of limits and use', () => {
  using site = makeSite()
  site.up(limits({ memory: { limit: 24 * MIB, swap: 24 * MIB }, pids: { limit: 20 }, cpu: { quota: 50_000 } }))
  expect(site.exec('dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null').exitCode).toBe(137)
  const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
  expect(data.memory.usage).toMatchObject({ limit: 24 * MIB, usage: expect.any(Number) })
  expect(data.pids).toEqual({ current: 1, limit: 20 })
  expect(data.cpu.usage.total).toBeGreaterThan(0)
})

test('with CAP_SYS_RESOURCE a container gets limits above those of the caller, and an oom_score_adj below its own', () => {
  using site = makeSite()
  const changes = {
    'process.rlimits': [{ type: 'RLIMIT_NOFILE', hard: 4096, soft: 300 }],
    'process.oomScoreAdj': -500,
  }
  const seen = site.inside('ulimit -Hn; cat /proc/self/oom_score_adj', changes, {
    through: ['prlimit', '--nofile=256'],
  })
  expect(seen).toBe('4096\n-500\n')
})

test('it is created, started, paused, resumed, killed and deleted', () => {
  using site = makeSite()
  site.configure()
  const statusAfter = (...args: readonly string[]): unknown => {
    expect([args, site.call([...args, site.id]).exitCode]).toEqual([args, 0])
    return site.state().status
  }
  expect(statusAfter('create')).toBe('created')
  expect(statusAfter('start')).toBe('running')
  expect(statusAfter('pause')).toBe('paused')
  expect(statusAfter('resume')).toBe('running')
  expect(site.exec('true').exitCode).toBe(0)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
})
