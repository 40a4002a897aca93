/**
 * The runtime, its executor, the init or the caller is killed at any moment, without anybody who holds a process still: then one `delete
 * --force`, and nothing is left (S266, S268).
 */

import { afterAll, afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bind, type Changes } from '../kernel/bundle.ts'
import { halfWritten, processesOf, settles, stateIn, until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { addFigures, printTotal } from './figures.ts'
import { LONG } from './injection.ts'
import { CALLER, callersEnd, childrenOf, hasEnded, killAt, momentOf, ROUNDS, VICTIMS, victimsOf } from './kill.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
afterEach(expectNothingLeft)
afterAll(printTotal)

const SETTLING_MS = 20_000

/** As many stages as possible: a user namespace, hooks, mounts from outside. */
const RICH: Changes = {
  'linux.namespaces': ['pid', 'mount', 'user', 'ipc', 'uts', 'network', 'cgroup'].map((type) => ({ type })),
  'linux.uidMappings': [{ containerID: 0, hostID: 0, size: 65_536 }],
  'linux.gidMappings': [{ containerID: 0, hostID: 0, size: 65_536 }],
  '+mounts': [bind('/etc', '/mnt', 'ro')],
  hooks: { prestart: [{ path: '/bin/true' }], createContainer: [{ path: '/bin/true' }] },
}

interface Round {
  readonly site: Site
  readonly command: readonly string[]
  readonly name: string
  readonly micros: number
}

/** Answers whether somebody was killed before the command was over. */
async function interrupt({ site, command, name, micros }: Round): Promise<boolean> {
  const begin = Bun.nanoseconds()
  const started = site.spawn([...command, site.id], name === 'its caller' ? { through: CALLER } : {})
  const hit = await killAt({ started, begin, micros, victims: victimsOf(name) })
  if (name === 'its caller') callersEnd(site)
  return hit
}

/** One removal is enough, whatever the executor still had to do when it came. */
function rest(site: Site): readonly string[] {
  const { exitCode, stderr } = site.call(['delete', '--force', site.id])
  let left: readonly string[] = exitCode === 0 ? [] : [`delete: ${stderr}`]
  if (left.length > 0) return left
  settles(() => {
    left = site.leaksNow()
    return left.length === 0
  }, SETTLING_MS)
  return left
}

/** How long a start takes on this machine now, in microseconds. */
async function duration(site: Site, command: readonly string[]): Promise<number> {
  const begin = Bun.nanoseconds()
  const started = site.spawn([...command, site.id])
  until(
    'the start',
    () =>
      stateIn(site.root()).includes(site.id) &&
      /"status": "(created|running)"/.test(site.call(['state', site.id]).stdout),
  )
  const took = (Bun.nanoseconds() - begin) / 1000
  site.call(['delete', '--force', site.id])
  await started.exited
  return took
}

for (const name of Object.keys(VICTIMS)) {
  for (const command of [['create'], ['run', '--detach'], ['run']] as const) {
    test(`when ${command.join(' ')} loses ${name} to SIGKILL at any moment, delete --force leaves nothing`, async () => {
      using site = makeSite()
      site.configure(RICH)
      const longest = await duration(site, command)
      let interrupted = 0
      for (let round = 0; round < ROUNDS; round++) {
        // One in the foreground runs on unless it is killed.
        const isEndless = command.length === 1 && command[0] === 'run'
        if (isEndless && name === 'its caller') site.configure({ ...RICH, 'process.args': ['true'] })
        if (await interrupt({ site, command, name, micros: longest * momentOf(round) })) interrupted++
        expect([round, rest(site)]).toEqual([round, []])
      }
      addFigures({
        command: command.join(' '),
        kind: 'a full container',
        way: `loses ${name}`,
        points: ROUNDS,
        visited: interrupted,
      })
      // The name is free, and a container can be made.
      expect([interrupted > 0, site.run({ ...RICH, 'process.args': ['true'] }).exitCode]).toEqual([true, 0])
    })
  }
}

test('a kept plan that was not written to its end is removed by the next one that is', () => {
  using site = makeSite()
  const plans = join(site.root(), '.plans')
  mkdirSync(plans, { recursive: true, mode: 0o700 })
  // No process has this pid: the kernel gives none beyond 4194304. proc_sys_kernel(5) "pid_max"
  for (const name of ['10-abc.4194305', `10-abc.${process.pid}`]) writeFileSync(join(plans, name), 'half of a pl')
  expect(halfWritten(site.root())).toEqual(['10-abc.4194305'])
  expect(site.run({ 'process.args': ['true'] }).exitCode).toBe(0)
  expect(halfWritten(site.root())).toEqual([])
  expect(readdirSync(plans)).toContain(`10-abc.${process.pid}`)
})

test('a container that ran detached outlives the runtime, and is found and removed', () => {
  using site = makeSite()
  const pid = site.up()
  expect(readText(`/proc/${pid}/cmdline`)).toBe('sleep\x001000\0')
  expect(site.state().pid).toBe(pid)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
})

test('a run in the foreground whose program of the host is killed does not leave its container running unseen', async () => {
  using site = makeSite()
  site.configure()
  const running = site.spawn(['run', site.id])
  until('the container', () => site.call(['state', site.id]).stdout.includes('"running"'))
  const executors = childrenOf(running.pid)
  running.kill('SIGKILL')
  await running.exited
  // It is still known, and can be removed; its executor, who waits for its end, as well.
  expect(['running', 'stopped']).toContain(String(site.state().status))
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  until('the executor', () => executors.every(hasEnded))
  expect([executors.length, processesOf(site.id), site.leaks()]).toEqual([1, [], []])
})
