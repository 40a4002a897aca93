/** Limits of CPU time and tasks on cgroup v2, by their effect. kernel:admin-guide/cgroup-v2.rst "CPU", "Cpuset", "PID" */

import { afterEach, expect, test } from 'bun:test'
import { until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { counter, limits, setting } from './guest.ts'

afterEach(expectNothingLeft)

const BUSY = { 'process.args': ['sh', '-c', 'while :; do :; done'] }

/** Microseconds of CPU time that each of the containers uses while the guest's clock goes on by `milliseconds`, and how long that was. */
function use(
  sites: readonly Site[],
  milliseconds: number,
): { readonly micros: readonly number[]; readonly elapsed: number } {
  const usage = (): readonly number[] => sites.map((site) => counter(site, 'cpu.stat', 'usage_usec'))
  const [before, begin] = [usage(), performance.now()]
  Bun.sleepSync(milliseconds)
  const after = usage()
  const elapsed = (performance.now() - begin) * 1000
  return { micros: after.map((micros, index) => micros - (before[index] ?? 0)), elapsed }
}

test('cpu.max holds a busy container to its share, and its stops are counted', () => {
  using site = makeSite()
  site.up({ ...BUSY, ...limits({ cpu: { quota: 20_000, period: 100_000 } }) })
  expect(setting(site, 'cpu.max')).toBe('20000 100000')
  const { micros, elapsed } = use([site], 2000)
  expect((micros[0] ?? 0) / elapsed).toBeWithin(0.1, 0.3)
  expect(counter(site, 'cpu.stat', 'nr_throttled')).toBeGreaterThan(5)
  const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
  expect(data.cpu.throttling.throttledPeriods).toBeGreaterThan(5)
  expect(data.cpu.psi.some.total).toBeGreaterThan(100_000)
  expect(site.call(['update', '--cpu-quota', '50000', site.id]).exitCode).toBe(0)
  expect(setting(site, 'cpu.max')).toBe('50000 100000')
})

test('shares are weights on the curve of current runc and crun', () => {
  using site = makeSite()
  site.up(limits({ cpu: { shares: 1024 } }))
  expect(setting(site, 'cpu.weight')).toBe('100')
  // The ends and the middle, what Kubernetes gives a tenth of a CPU, and what runc issue 4896 saw.
  for (const [shares, weight] of [
    [2, 1],
    [102, 17],
    [1024, 100],
    [2000, 170],
    [262144, 10000],
  ]) {
    expect(site.call(['update', '--cpu-share', `${shares}`, site.id]).exitCode).toBe(0)
    expect([shares, setting(site, 'cpu.weight')]).toEqual([shares, `${weight}`])
  }
})

test('of two busy containers on one CPU each gets time by its weight', () => {
  using heavy = makeSite()
  using light = makeSite()
  heavy.up({ ...BUSY, ...limits({ cpu: { shares: 4096, cpus: '1' } }) })
  light.up({ ...BUSY, ...limits({ cpu: { shares: 1024, cpus: '1' } }) })
  const weights = Number(setting(heavy, 'cpu.weight')) / Number(setting(light, 'cpu.weight'))
  expect(weights).toBeGreaterThan(2)
  const [more = 0, less = 0] = use([heavy, light], 2500).micros
  expect(more / less).toBeWithin(weights * 0.6, weights * 1.6)
})

test('an idle container stands back behind any other', () => {
  using idle = makeSite()
  using usual = makeSite()
  idle.up({ ...BUSY, ...limits({ cpu: { idle: 1, cpus: '1' } }) })
  usual.up({ ...BUSY, ...limits({ cpu: { cpus: '1' } }) })
  expect(setting(idle, 'cpu.idle')).toBe('1')
  const [least = 0, most = 0] = use([usual, idle], 1000).micros.toReversed()
  expect(most / Math.max(least, 1)).toBeGreaterThan(10)
  expect(idle.call(['update', '--cpu-idle', '0', idle.id]).exitCode).toBe(0)
  expect(setting(idle, 'cpu.idle')).toBe('0')
})

test('burst and quota change together, whichever is larger', () => {
  using site = makeSite()
  site.up(limits({ cpu: { quota: 30_000, period: 100_000, burst: 20_000 } }))
  const values = (): readonly string[] => [setting(site, 'cpu.max'), setting(site, 'cpu.max.burst')]
  expect(values()).toEqual(['30000 100000', '20000'])
  for (const [quota, burst] of [
    [60_000, 50_000],
    [10_000, 5000],
  ]) {
    const flags = ['--cpu-quota', `${quota}`, '--cpu-burst', `${burst}`]
    expect(site.call(['update', ...flags, site.id]).exitCode).toBe(0)
    expect(values()).toEqual([`${quota} 100000`, `${burst}`])
  }
})

test('with a burst a container uses what it saved while it slept, and without one it is stopped', () => {
  using saving = makeSite()
  using usual = makeSite()
  const work = 'while :; do sleep 0.3; i=0; while [ $i -lt 4000 ]; do i=$((i + 1)); done; done'
  const cpu = { quota: 10_000, period: 100_000 }
  saving.up({ 'process.args': ['sh', '-c', work], ...limits({ cpu: { ...cpu, burst: 10_000 } }) })
  usual.up({ 'process.args': ['sh', '-c', work], ...limits({ cpu }) })
  until('bursts', () => counter(saving, 'cpu.stat', 'nr_bursts') > 2)
  expect(counter(saving, 'cpu.stat', 'burst_usec')).toBeGreaterThan(0)
  until('a stop', () => counter(usual, 'cpu.stat', 'nr_throttled') > 2)
  expect(counter(usual, 'cpu.stat', 'nr_bursts')).toBe(0)
})

for (const [node, other] of [
  ['0', '1'],
  ['1', '0'],
] as const)
  test(`a container runs on the CPUs and gets the memory of the nodes of its cpuset: ${node}`, () => {
    using site = makeSite()
    site.up({ ...BUSY, ...limits({ cpu: { cpus: node, mems: node } }) })
    const script = 'grep -e Cpus_allowed_list -e Mems_allowed_list /proc/self/status; nproc'
    expect(site.exec(script).stdout).toBe(`Cpus_allowed_list:\t${node}\nMems_allowed_list:\t${node}\n1\n`)
    // The 39th field of /proc/PID/stat is the CPU that it ran on last. proc_pid_stat(5)
    const last = (): string | undefined => site.exec('cut -d ")" -f 2 /proc/1/stat').stdout.trim().split(' ')[36]
    expect([last(), last(), last()]).toEqual([node, node, node])
    expect(site.exec('dd if=/dev/zero of=/dev/shm/file bs=1M count=8 2>/dev/null').exitCode).toBe(0)
    expect(setting(site, 'memory.numa_stat')).toMatch(
      node === '0' ? /^shmem N0=8388608 N1=0$/m : /^shmem N0=0 N1=8388608$/m,
    )
    expect(setting(site, 'memory.numa_stat')).toContain(`N${other}=0`)
  })

test('pids.max refuses a fork, and pids.events counts it', () => {
  using site = makeSite()
  site.up(limits({ pids: { limit: 4 } }))
  const { stdout } = site.exec('( for i in 1 2 3 4 5 6; do sleep 2 & done; wait ) 2>&1')
  expect(stdout).toMatch(/can't fork/)
  expect(counter(site, 'pids.events', 'max')).toBeGreaterThan(0)
  expect(site.call(['update', '--pids-limit', '-1', site.id]).exitCode).toBe(0)
  expect(setting(site, 'pids.max')).toBe('max')
})

test('real-time scheduling is refused by name', () => {
  using site = makeSite()
  expect(site.run(limits({ cpu: { realtimeRuntime: 1000 } })).stderr).toContain('linux.resources.cpu.realtimeRuntime')
})
