/** Limits of memory on cgroup v2, by what happens to a process that meets them. kernel:admin-guide/cgroup-v2.rst "Memory" */

import { afterEach, beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { CGROUPS, counter, host, limits, MIB, makeDisk, pressure, setting } from './guest.ts'

afterEach(expectNothingLeft)
beforeAll(() => {
  const disk = makeDisk('swap', { memory_backed: 1, size: 128 })
  host(`mkswap ${disk} && swapon ${disk}`)
})

const WITHOUT_SWAP = limits({ memory: { limit: 24 * MIB, swap: 24 * MIB } })

/** Fills so many MiB of its own memory. */
const eat = (megabytes: number): string => `dd if=/dev/zero of=/dev/null bs=${megabytes}M count=1 2>/dev/null`

test('a process beyond memory.max is killed, init lives on, and memory.events counts it', () => {
  using site = makeSite()
  const script = `${eat(12)}; echo $?; ${eat(64)}; echo $?; grep ^oom_kill /sys/fs/cgroup/memory.events`
  expect(site.inside(script, WITHOUT_SWAP)).toBe('0\n137\noom_kill 1\n')
})

test('run ends with 137 when init itself is beyond memory.max', () => {
  using site = makeSite()
  const { exitCode } = site.run({ ...WITHOUT_SWAP, 'process.args': ['sh', '-c', `exec ${eat(64)}`] })
  expect(exitCode).toBe(137)
})

test('with memory.oom.group among the unified settings the whole container is killed', () => {
  using site = makeSite()
  const { exitCode, stdout } = site.run({
    ...limits({ memory: { limit: 24 * MIB, swap: 24 * MIB }, unified: { 'memory.oom.group': '1' } }),
    'process.args': ['sh', '-c', `${eat(64)}; echo alive`],
  })
  expect([exitCode, stdout]).toEqual([137, ''])
})

test('events tells each process that was killed for want of memory', async () => {
  using site = makeSite()
  const pid = site.up(WITHOUT_SWAP)
  const watching = site.spawn(['events', '--interval', '60s', site.id])
  const output = site.output()
  const lines = (): readonly string[] => readFileSync(output, 'utf8').trim().split('\n')
  until('the first event', () => lines()[0] !== '')
  const oom = JSON.stringify({ type: 'oom', id: site.id })
  for (const count of [1, 2]) {
    expect(site.exec(eat(64)).exitCode).toBe(137)
    until('the kill to be told', () => lines().filter((line) => line === oom).length === count)
  }
  process.kill(pid, 'SIGKILL')
  expect((await watching.outcome()).exitCode).toBe(0)
})

test('memory beyond the limit goes to swap as far as the limit of both allows', () => {
  using site = makeSite()
  site.up(limits({ memory: { limit: 24 * MIB, swap: 80 * MIB } }))
  expect([setting(site, 'memory.max'), setting(site, 'memory.swap.max')]).toEqual([`${24 * MIB}`, `${56 * MIB}`])
  expect(site.exec(eat(48)).exitCode).toBe(0)
  expect(counter(site, 'memory.stat', 'pgmajfault') + counter(site, 'memory.events', 'max')).toBeGreaterThan(0)
  expect(counter(site, 'memory.events', 'oom_kill')).toBe(0)
  expect(site.exec(eat(120)).exitCode).toBe(137)
  expect(counter(site, 'memory.swap.events', 'fail')).toBeGreaterThan(0)
})

test('memory.high slows a process down where memory.max would kill it', () => {
  using site = makeSite()
  site.up(
    limits({
      memory: { limit: 64 * MIB, swap: 64 * MIB, reservation: 8 * MIB },
      unified: { 'memory.high': `${16 * MIB}` },
    }),
  )
  expect([setting(site, 'memory.low'), setting(site, 'memory.high')]).toEqual([`${8 * MIB}`, `${16 * MIB}`])
  expect(counter(site, 'memory.events', 'high')).toBe(0)
  const waited = pressure(site, 'memory')
  expect(site.exec(eat(18)).exitCode).toBe(0)
  expect(counter(site, 'memory.events', 'high')).toBeGreaterThan(0)
  expect(pressure(site, 'memory') - waited).toBeGreaterThan(100_000)
  expect(counter(site, 'memory.events', 'oom_kill')).toBe(0)
})

test('where memory is short a container keeps what is reserved for it, and its neighbour makes room', () => {
  using reserved = makeSite()
  using usual = makeSite()
  const parent = `/parent-${reserved.id}`
  host(`cd ${CGROUPS} && echo +memory >cgroup.subtree_control && mkdir .${parent} && cd .${parent} &&
    echo +memory >cgroup.subtree_control && echo ${56 * MIB} >memory.max && echo ${28 * MIB} >memory.low`)
  const holds = (site: Site, memory: object): void => {
    site.up({ 'linux.cgroupsPath': `${parent}/${site.id}`, ...limits({ memory }) })
    expect(site.exec('dd if=/dev/zero of=/dev/shm/file bs=1M count=20 2>/dev/null').exitCode).toBe(0)
  }
  holds(reserved, { reservation: 24 * MIB })
  holds(usual, {})
  expect(usual.exec(eat(24)).exitCode).toBe(0)
  // What is in the swap now says less: what was swapped of a process goes with it.
  const taken = ({ id }: Site): number => 4096 * counter({ cgroup: `${parent}/${id}` }, 'memory.stat', 'pgsteal')
  expect(taken(usual)).toBeGreaterThan(4 * MIB)
  expect(taken(reserved)).toBeLessThan(MIB)
  for (const site of [reserved, usual]) site.call(['delete', '--force', site.id])
  host(`rmdir ${CGROUPS}${parent}`)
})

test('update changes memory and swap of a container that runs, and refuses a limit below its use if asked to', () => {
  using site = makeSite()
  site.up(WITHOUT_SWAP)
  const update = (memory: object): number | null =>
    site.call(['update', '--resources', '-', site.id], { stdin: JSON.stringify({ memory }) }).exitCode
  expect(site.exec(eat(40)).exitCode).toBe(137)
  expect(update({ limit: 64 * MIB, swap: 96 * MIB })).toBe(0)
  expect([setting(site, 'memory.max'), setting(site, 'memory.swap.max')]).toEqual([`${64 * MIB}`, `${32 * MIB}`])
  expect(site.exec(eat(40)).exitCode).toBe(0)
  expect(update({ limit: 4096, swap: 4096, checkBeforeUpdate: true })).toBe(1)
  expect(setting(site, 'memory.max')).toBe(`${64 * MIB}`)
  expect(site.call(['update', '--memory', '-1', site.id]).exitCode).toBe(0)
  expect([setting(site, 'memory.max'), setting(site, 'memory.swap.max')]).toEqual(['max', 'max'])
})

test('what v1 could limit and v2 cannot is refused by name, and leaves no cgroup', () => {
  using site = makeSite()
  for (const [memory, field] of [
    [{ swappiness: 10 }, 'memory.swappiness'],
    [{ kernelTCP: MIB }, 'memory.kernelTCP'],
    [{ disableOOMKiller: true }, 'memory.disableOOMKiller'],
  ] as const) {
    const { exitCode, stderr } = site.run(limits({ memory }))
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`linux.resources.${field}`)])
  }
})
