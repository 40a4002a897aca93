/** The runtime is killed at any moment: whatever stage a start had reached, `delete --force` takes all of it back. */

import { afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { bind } from './bundle.ts'
import { processesOf, readText, settles, stateIn, until } from './leaks.ts'
import { expectNothingLeft, makeSite, type Site } from './site.ts'

afterEach(expectNothingLeft)
setDefaultTimeout(60_000)

const ROUNDS = 20

/** As many stages as possible: a user namespace, hooks, mounts from outside. */
const RICH = {
  'linux.namespaces': ['pid', 'mount', 'user', 'ipc', 'uts', 'network', 'cgroup'].map((type) => ({ type })),
  'linux.uidMappings': [{ containerID: 0, hostID: 0, size: 65_536 }],
  'linux.gidMappings': [{ containerID: 0, hostID: 0, size: 65_536 }],
  '+mounts': [bind('/etc', '/mnt', 'ro')],
  hooks: { prestart: [{ path: '/bin/true' }], createContainer: [{ path: '/bin/true' }] },
}

/** Pids of the program and of the executors that it has started, which run under the name `coffer`. */
const executorsOf = (pid: number): readonly number[] =>
  (readText(`/proc/${pid}/task/${pid}/children`) ?? '')
    .trim()
    .split(' ')
    .filter((word) => word !== '')
    .map(Number)

/** Who is killed: the program that was called, the executor that it starts, or both. */
const VICTIMS: Readonly<Record<'program' | 'executor' | 'both', (pid: number) => readonly number[]>> = {
  program: (pid) => [pid],
  executor: (pid) => executorsOf(pid),
  both: (pid) => [pid, ...executorsOf(pid)],
}

const hasEnded = (pid: number): boolean => !/\) [^ZX] /.test(readText(`/proc/${pid}/stat`) ?? '')

/**
 * Kills so many microseconds after the first victim was there. Not at random, so that a failure can be seen again: the whole duration of a
 * start is gone over in equal steps.
 */
async function killAfter(
  site: Site,
  command: readonly string[],
  victims: (pid: number) => readonly number[],
  micros: number,
): Promise<void> {
  const started = site.spawn([...command, site.id])
  until('somebody to kill', () => victims(started.pid).length > 0 || hasEnded(started.pid))
  const begin = Bun.nanoseconds()
  while (Bun.nanoseconds() - begin < micros * 1000);
  for (const pid of victims(started.pid))
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      // It was faster.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  await started.exited
}

/**
 * What is left when it is deleted. The executor outlives the program, so it may make the container only now; then it is there to be deleted a
 * moment later.
 */
function rest(site: Site): readonly string[] {
  let left: readonly string[] = []
  settles(() => {
    const { exitCode, stderr } = site.call(['delete', '--force', site.id])
    left = exitCode === 0 ? site.leaksNow() : [`delete: ${stderr}`]
    return left.length === 0
  })
  return left
}

/** How long a start takes on this machine, in microseconds. */
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

for (const [name, victims] of Object.entries(VICTIMS)) {
  for (const command of [['create'], ['run']] as const) {
    test(`when ${command[0]} loses its ${name} to SIGKILL at any moment, delete --force leaves nothing (S266, S268)`, async () => {
      using site = makeSite()
      site.configure(RICH)
      const longest = await duration(site, command)
      let interrupted = 0
      for (let round = 0; round < ROUNDS; round++) {
        await killAfter(site, command, victims, (longest * round) / ROUNDS)
        if (processesOf(site.id).length > 0) interrupted++
        expect([round, rest(site)]).toEqual([round, []])
      }
      // The name is free, and a container can be made.
      expect([interrupted > 0, site.run({ ...RICH, 'process.args': ['true'] }).exitCode]).toEqual([true, 0])
    })
  }
}

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
  running.kill('SIGKILL')
  await running.exited
  // It is still known, and can be removed.
  expect(['running', 'stopped']).toContain(String(site.state().status))
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(site.leaks()).toEqual([])
})
