/** Limits of a container in the files of the kernel, with runc as the second opinion on what the configuration means. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupsOf } from './leaks.ts'
import { readText } from './machine.ts'
import { expectNothingLeft, fileOf, makeSite, type Runtime, type Site } from './site.ts'

afterEach(expectNothingLeft)

/**
 * Of both versions; those that a hierarchy does not have are passed over. Not cpu.weight: runc before 1.3.2 has it from shares by another rule,
 * and test/guest/cpu.test.ts tests ours.
 */
const FILES = [
  'memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness memory.oom_control',
  'memory.max memory.swap.max memory.low memory.high',
  'cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.idle cpu.max',
  'cpuset.cpus cpuset.mems pids.max devices.list',
  'blkio.throttle.read_bps_device blkio.throttle.write_iops_device blkio.bfq.weight io.max io.weight hugetlb.2MB.limit_in_bytes',
]
  .join(' ')
  .split(' ')

/** What the kernel has, by file. */
const limitsOf = (site: Site): Readonly<Record<string, string>> =>
  Object.fromEntries(
    cgroupsOf(site.id).flatMap((path) =>
      FILES.filter((name) => existsSync(join(path, name))).map((name) => {
        const text = (readText(join(path, name)) ?? '').trim()
        return [name, text.split('\n').sort().join('\n')]
      }),
    ),
  )

/** Limits after each of these commands. */
function story(site: Site, runtime: Runtime, resources: object, updates: readonly (readonly string[])[]): unknown {
  site.configure({ 'linux.resources': resources })
  const { exitCode, stderr } = site.call(['run', '--detach', site.id], { runtime })
  expect([runtime, exitCode, stderr]).toEqual([runtime, 0, ''])
  const seen = [limitsOf(site)]
  for (const words of updates) {
    const updated = site.call(['update', ...words, site.id], { runtime })
    expect([runtime, words, updated.exitCode, updated.stderr]).toEqual([runtime, words, 0, ''])
    seen.push(limitsOf(site))
  }
  site.call(['delete', '--force', site.id], { runtime })
  return seen
}

/** v2 always kills when memory is out. */
const hasV1Memory = existsSync('/sys/fs/cgroup/memory')

const DENY = { allow: false, access: 'rwm' }

test('limits of the configuration are those that runc sets', () => {
  for (const resources of [
    {},
    { devices: [DENY] },
    { memory: { limit: 64 << 20 } },
    { memory: { limit: 64 << 20, swap: 96 << 20, reservation: 16 << 20 } },
    ...(hasV1Memory ? [{ memory: { limit: 64 << 20, disableOOMKiller: true } }] : []),
    { cpu: { shares: 512, quota: 30_000, period: 60_000 } },
    { cpu: { cpus: '0', mems: '0' } },
    { cpu: { quota: -1 } },
    { pids: { limit: 77 } },
    { pids: { limit: -1 } },
    { devices: [DENY, { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' }] },
    { devices: [{ allow: true, access: 'rwm' }] },
    { devices: [DENY, { allow: true, type: 'c', access: 'm' }, { allow: true, type: 'b', major: 8, access: 'r' }] },
  ]) {
    using site = makeSite()
    expect([resources, story(site, 'coffer', resources, [])]).toEqual([resources, story(site, 'runc', resources, [])])
  }
})

const UPDATES = [
  ['--pids-limit', '33'],
  ['--memory', '64m'],
  ['--memory', '32m', '--memory-swap', '48m'],
  ['--memory', '128m', '--memory-swap', '-1'],
  ['--memory-reservation', '8m'],
  ['--cpu-share', '333'],
  ['--cpu-quota', '20000', '--cpu-period', '50000'],
  ['--cpu-quota', '-1'],
  ['--cpuset-cpus', '0'],
  ['--pids-limit', '-1'],
]

test('update changes limits as that of runc does, one after another', () => {
  using site = makeSite()
  const resources = { devices: [DENY], memory: { limit: 256 << 20 }, pids: { limit: 10 } }
  expect(story(site, 'coffer', resources, UPDATES)).toEqual(story(site, 'runc', resources, UPDATES))
})

test('update takes a document, from a file or from standard input', () => {
  using site = makeSite()
  site.up()
  const document = (limit: number): string => JSON.stringify({ pids: { limit }, memory: { limit: 50 << 20 } })
  const path = fileOf(site, 'resources.json', document(21))
  expect(site.call(['update', '--resources', path, site.id])).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  expect(limitsOf(site)['pids.max']).toBe('21')
  expect(site.call(['update', '-r', '-', site.id], { stdin: document(22) }).exitCode).toBe(0)
  expect(limitsOf(site)['pids.max']).toBe('22')
})

test('an update with the zeros that engines write for what they leave out changes the rest, again and again', () => {
  using site = makeSite()
  site.up()
  const seen = (): readonly unknown[] => {
    // Not one of FILES: runc of other versions makes another weight of shares.
    const [weight] = cgroupsOf(site.id).flatMap((path) => readText(join(path, 'cpu.weight'))?.trim() ?? [])
    const limits = limitsOf(site)
    return [limits['memory.limit_in_bytes'] ?? limits['memory.max'], limits['cpu.shares'] ?? weight]
  }
  const [unlimited, shares] = seen()
  const update = (document: object): readonly unknown[] => {
    const { exitCode, stderr } = site.call(['update', '-r', '-', site.id], { stdin: JSON.stringify(document) })
    expect([exitCode, stderr]).toEqual([0, ''])
    return seen()
  }
  const left = { memory: { limit: 0, reservation: 0, kernel: 0 }, cpu: { shares: 0, cpus: '', mems: '' } }
  expect(update({ ...left, memory: { limit: 64 << 20, swap: 64 << 20 } })).toEqual([`${64 << 20}`, shares])
  const [limit, fewer] = update({ ...left, cpu: { shares: 300 } })
  expect([limit, fewer === shares]).toEqual([`${64 << 20}`, false])
  expect(update({ ...left, memory: { limit: 32 << 20 } })).toEqual([`${32 << 20}`, fewer])
  expect(update({ memory: { limit: -1 } })).toEqual([unlimited, fewer])
  expect(update(left)).toEqual([unlimited, fewer])
})

test('updates at once are made one after the other, and the record has them all', async () => {
  using site = makeSite()
  site.up({ 'linux.resources': { pids: { limit: 10 } } })
  const words = [
    ['--pids-limit', '77'],
    ['--memory', '64m'],
    ['--cpu-share', '333'],
    ['--cpu-quota', '30000'],
    ['--cpuset-cpus', '0'],
  ]
  const outcomes = await Promise.all(words.map((flags) => site.spawn(['update', ...flags, site.id]).outcome()))
  expect(outcomes.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(words.map(() => [0, '']))
  const { config } = JSON.parse(readText(join(site.root(), site.id, 'state.json')) ?? '')
  expect(config.linux.resources).toMatchObject({
    pids: { limit: 77 },
    memory: { limit: 64 << 20 },
    cpu: { shares: 333, quota: 30_000, cpus: '0' },
  })
})

test('an update that cannot be made changes nothing, and says which limit it was', () => {
  using site = makeSite()
  site.up({ 'linux.resources': { pids: { limit: 10 } } })
  const before = limitsOf(site)
  for (const words of [
    ['--memory', 'many'],
    ['--cpuset-cpus', '900'],
    ['--pids-limit', 'x'],
    ['--cpu-period', '1'],
  ]) {
    const { exitCode, stderr } = site.call(['update', ...words, site.id])
    expect([words, exitCode, stderr !== '']).toEqual([words, 1, true])
    expect(limitsOf(site)).toEqual(before)
  }
})
