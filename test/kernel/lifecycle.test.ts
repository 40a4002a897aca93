/** The life of a container, with runc as the second opinion: the same commands have to answer the same. */

import { afterEach, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './leaks.ts'
import { readText } from './machine.ts'
import { type CallOptions, expectNothingLeft, fileOf, makeSite, type Outcome, type Runtime, type Site } from './site.ts'

afterEach(expectNothingLeft)

interface Act {
  readonly args: readonly string[]
  /** What both programs have to say on standard error. */
  readonly says?: string
  /** How standard output is compared; as it is, if not given. */
  readonly output?: 'shape' | 'table' | 'none'
}

/** What a caller can rely on in an answer. */
interface Answer {
  readonly args: string
  readonly exitCode: number | null
  readonly output: unknown
  readonly says: boolean
}

/** Types in place of values, but for words that have a meaning of their own. */
function shapeOf(value: unknown, key = ''): unknown {
  if (['status', 'id', 'bundle', 'rootfs', 'type', 'annotations'].includes(key)) return value
  if (Array.isArray(value)) return value.map((one) => shapeOf(one))
  if (typeof value !== 'object' || value === null) return typeof value
  // runc fills `owner` in only for list. The version is that of the specification.
  return Object.entries(value).map(([name, one]) => `${name}: ${JSON.stringify(shapeOf(one, name))}`)
}

function compared(text: string, output: Act['output']): unknown {
  switch (output) {
    case 'shape':
      return shapeOf(JSON.parse(text))
    case 'table':
      return text.split('\n').map((line) => line.split(/ +/).slice(2, 4).join(' '))
    case 'none':
      return undefined
    case undefined:
      return text
  }
}

/** Its program is gone before the process is a zombie, and until then it is alive. */
const isAlive = (pid: number): boolean => /\) [^ZX] /.test(readText(`/proc/${pid}/stat`) ?? '')

function play(site: Site, runtime: Runtime, acts: readonly Act[]): readonly Answer[] {
  return acts.map(({ args, says, output }) => {
    const { exitCode, stdout, stderr } = site.call(args, { runtime })
    if (args[0] === 'kill' && exitCode === 0) waitForEnd(site, runtime)
    return { args: args.join(' '), exitCode, output: compared(stdout, output), says: stderr.includes(says ?? '') }
  })
}

/** A signal needs a moment. */
function waitForEnd(site: Site, runtime: Runtime): void {
  const { stdout } = site.call(['state', site.id], { runtime })
  const { pid } = JSON.parse(stdout) as { readonly pid: number }
  until('init to end', () => !isAlive(pid))
}

const bothPlay = (site: Site, acts: readonly Act[]): void => {
  const ours = play(site, 'coffer', acts)
  expect(ours).toEqual(play(site, 'runc', acts) as Answer[])
  expect(ours.filter(({ says }) => !says).map(({ args }) => args)).toEqual([])
}

test('from create to delete a container answers as that of runc does', () => {
  using site = makeSite()
  site.configure({ annotations: { 'org.example.a': 'b' } })
  const { id } = site
  const state: Act = { args: ['state', id], output: 'shape' }
  const gone = 'container does not exist'
  bothPlay(site, [
    { args: ['state', id], says: gone },
    { args: ['start', id], says: gone },
    { args: ['kill', id], says: gone },
    { args: ['delete', id], says: gone },
    { args: ['pause', id], says: gone },
    { args: ['resume', id], says: gone },
    { args: ['ps', id], says: gone },
    { args: ['update', '--pids-limit', '10', id], says: gone },
    { args: ['events', '--stats', id], says: gone },
    { args: ['delete', '--force', id] },
    { args: ['list'] },
    { args: ['list', '--format', 'json'] },
    { args: ['list', '--quiet'] },
    { args: ['create', id] },
    state,
    { args: ['list'], output: 'table' },
    { args: ['list', '--format', 'json'], output: 'shape' },
    { args: ['list', '--quiet'] },
    { args: ['create', id], says: 'container with given ID already exists' },
    { args: ['run', id], says: 'container with given ID already exists' },
    { args: ['ps', '--format', 'json', id], output: 'shape' },
    { args: ['start', id] },
    state,
    { args: ['start', id], says: 'cannot start an already running container' },
    { args: ['delete', id], says: 'that is not stopped: running' },
    { args: ['ps', '--format', 'json', id], output: 'shape' },
    { args: ['resume', id], says: 'container not paused' },
    { args: ['pause', id] },
    state,
    { args: ['list'], output: 'table' },
    { args: ['exec', id, 'true'], says: 'cannot exec in a paused container' },
    { args: ['delete', id], says: 'that is not stopped: paused' },
    { args: ['resume', id] },
    { args: ['update', '--pids-limit', '10', id] },
    { args: ['kill', id, 'NOSUCHSIGNAL'] },
    { args: ['kill', id, 'KILL'] },
    state,
    { args: ['kill', id, 'KILL'], says: 'container not running' },
    { args: ['kill', id], says: 'container not running' },
    { args: ['start', id], says: 'cannot start a container that has stopped' },
    { args: ['exec', id, 'true'] },
    { args: ['pause', id], says: 'container not running' },
    { args: ['events', '--stats', id], says: 'not running' },
    { args: ['update', '--pids-limit', '10', id], says: 'container not running' },
    { args: ['ps', '--format', 'json', id] },
    { args: ['list'], output: 'table' },
    { args: ['delete', id] },
    state.args[0] === 'state' ? { args: ['state', id], says: gone } : state,
    { args: ['delete', id], says: gone },
  ])
})

test('a created container is deleted without being started, and a running or paused one by force (S131)', () => {
  using site = makeSite()
  site.configure()
  const { id } = site
  bothPlay(site, [
    { args: ['create', id] },
    { args: ['delete', id] },
    { args: ['state', id], says: 'does not exist' },
    { args: ['run', '--detach', id] },
    { args: ['delete', '--force', id] },
    { args: ['state', id], says: 'does not exist' },
    { args: ['run', '--detach', id] },
    { args: ['pause', id] },
    { args: ['delete', '--force', id] },
    { args: ['state', id], says: 'does not exist' },
    { args: ['create', id] },
    { args: ['kill', id, 'SIGKILL'] },
    { args: ['state', id], output: 'shape' },
    { args: ['delete', id] },
  ])
})

test('signals are numbers or names, with and without SIG, in either case', () => {
  for (const signal of ['9', 'KILL', 'SIGKILL', 'kill', 'sigkill']) {
    using site = makeSite()
    site.configure()
    bothPlay(site, [{ args: ['run', '--detach', site.id] }, { args: ['kill', site.id, signal] }])
  }
})

test('signal 0 asks whether init is there', () => {
  using site = makeSite()
  site.up()
  expect(site.call(['kill', site.id, '0']).exitCode).toBe(0)
  expect(site.state().status).toBe('running')
})

test('flags are taken behind the id as well, as callers of runc write them', () => {
  using site = makeSite()
  site.configure()
  const { id } = site
  bothPlay(site, [
    { args: ['create', id, '--bundle', site.bundle] },
    { args: ['start', id] },
    { args: ['update', id, '--pids-limit', '20'] },
    { args: ['events', id, '--stats'], output: 'none' },
    { args: ['kill', id, 'KILL', '--all'] },
    { args: ['delete', id, '--force'] },
    { args: ['state', id], says: 'does not exist' },
  ])
})

/** What dockerd, podman and containerd tell 126 and 127 by comes from the log. */
function logged(
  site: Site,
  args: readonly string[],
  runtime: Runtime,
  options: CallOptions = {},
): Outcome & { readonly msg: string } {
  const log = fileOf(site, `${runtime}.json`)
  const outcome = site.call(args, { ...options, runtime, globals: ['--log', log, '--log-format', 'json'] })
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  const last = JSON.parse(lines.at(-1) ?? '{}') as {
    readonly level: string
    readonly msg: string
    readonly time: string
  }
  expect(last.level).toBe('error')
  expect(Object.keys(last).sort()).toEqual(['level', 'msg', 'time'])
  expect(Date.parse(last.time)).toBeGreaterThan(Date.now() - 60_000)
  return { ...outcome, msg: last.msg }
}

const UNSTARTABLE: readonly (readonly [args: readonly string[], words: string])[] = [
  [['no-such-program'], 'executable file not found in $PATH'],
  [['/no/such/program'], 'no such file or directory'],
  [['/etc/passwd'], 'permission denied'],
  [['/etc'], 'permission denied'],
]

for (const runtime of ['coffer', 'runc'] as const) {
  test(`engines find in the log of ${runtime} why a program cannot be started`, () => {
    using site = makeSite()
    for (const [args, words] of UNSTARTABLE) {
      for (const path of ['/bin', '/usr/bin:/bin']) {
        site.configure({ 'process.args': args, 'process.env': [`PATH=${path}`] })
        const created = logged(site, ['create', site.id], runtime)
        expect([created.exitCode, args, created.msg]).toEqual([1, args, expect.stringContaining(words)])
        expect(created.msg).toContain(args[0] ?? '')
        // podman reads it there.
        if (words !== 'permission denied') expect(created.stderr).toContain(words)
      }
    }
    site.configure({ 'root.path': 'nowhere' })
    expect(logged(site, ['create', site.id], runtime).msg).toMatch(/no such file or directory|invalid rootfs/)
    site.configure()
    expect(site.call(['run', '--detach', site.id], { runtime }).exitCode).toBe(0)
    for (const [args, words] of UNSTARTABLE) {
      const executed = logged(site, ['exec', site.id, ...args], runtime)
      expect([executed.exitCode, args, executed.msg]).toEqual([255, args, expect.stringContaining(words)])
    }
    const missing = logged(site, ['exec', '--cwd', '/nowhere', site.id, 'true'], runtime)
    expect([missing.exitCode, missing.msg]).toEqual([255, expect.stringContaining('no such file or directory')])
  })
}

test('a log as text has the fields that logrus writes', () => {
  using site = makeSite()
  const log = fileOf(site, 'log')
  site.call(['state', site.id], { globals: ['--log', log] })
  expect(readFileSync(log, 'utf8')).toMatch(/^time="[^"]+" level=error msg="cannot .*container does not exist.*"\n$/)
})

test('messages are appended to the log', () => {
  using site = makeSite()
  const log = fileOf(site, 'log', 'first\n')
  site.call(['state', site.id], { globals: ['--log', log] })
  expect(readFileSync(log, 'utf8')).toStartWith('first\ntime=')
})

test('the pid file has the pid of init in decimal and nothing else, when create returns', () => {
  using site = makeSite()
  site.configure()
  for (const command of ['create', 'run']) {
    const path = fileOf(site, `pid-${command}`)
    expect(site.call([command, '--pid-file', path, ...(command === 'run' ? ['--detach'] : []), site.id]).exitCode).toBe(
      0,
    )
    expect(readFileSync(path, 'utf8')).toBe(`${site.state().pid}`)
    site.call(['delete', '--force', site.id])
  }
})

test('the exit status of run is that of the program, and 128 more than the signal that ended it', () => {
  using site = makeSite()
  for (const [script, exitCode] of [
    ['exit 0', 0],
    ['exit 1', 1],
    ['exit 127', 127],
    ['exit 255', 255],
  ] as const)
    expect(site.run({ 'process.args': ['sh', '-c', script] }).exitCode).toBe(exitCode)
  // Init does not get signals of its own pid namespace that it does not handle; a container without one does.
  const shared = { 'linux.namespaces': [{ type: 'mount' }, { type: 'uts' }, { type: 'ipc' }, { type: 'network' }] }
  for (const signal of [1, 2, 6, 9, 15, 31, 34])
    expect(site.run({ ...shared, 'process.args': ['sh', '-c', `kill -${signal} $$`] }).exitCode).toBe(128 + signal)
})

test('a container that has ended in the foreground is gone, and with --keep it is stopped until it is deleted', () => {
  using site = makeSite()
  expect(site.run({ 'process.args': ['true'] }).exitCode).toBe(0)
  expect(site.call(['state', site.id]).stderr).toContain('does not exist')
  expect(site.call(['run', '--keep', site.id]).exitCode).toBe(0)
  expect(site.state()).toMatchObject({ status: 'stopped', pid: 0 })
  expect(site.call(['delete', site.id]).exitCode).toBe(0)
})

test('stats of events have what those of runc have', () => {
  using site = makeSite()
  site.configure()
  const stats = (runtime: Runtime): Record<string, unknown> => {
    expect(site.call(['run', '--detach', site.id], { runtime }).exitCode).toBe(0)
    const line = site.call(['events', '--stats', site.id], { runtime }).stdout
    site.call(['delete', '--force', site.id], { runtime })
    expect(line.indexOf('\n')).toBe(line.length - 1)
    return JSON.parse(line)
  }
  const ours = stats('coffer')
  expect(ours).toMatchObject({ type: 'stats', id: site.id })
  expect(missingFrom(ours, stats('runc'))).toEqual([])
})

/** Paths of `theirs` that `ours` has not, or with another type. */
function missingFrom(ours: unknown, theirs: unknown, path = ''): readonly string[] {
  if (typeof ours !== typeof theirs || Array.isArray(ours) !== Array.isArray(theirs)) return [path]
  if (typeof theirs !== 'object' || theirs === null || Array.isArray(theirs)) return []
  return Object.entries(theirs).flatMap(([name, value]) =>
    missingFrom((ours as Record<string, unknown>)[name], value, `${path}.${name}`),
  )
}

test('events go on until the container ends, at the interval that is asked for', async () => {
  using site = makeSite()
  const pid = site.up()
  const watching = site.spawn(['events', '--interval', '30ms', site.id])
  const lines = (): number => readFileSync(site.output(), 'utf8').split('\n').length - 1
  until('three events', () => lines() >= 3)
  process.kill(pid, 'SIGKILL')
  expect((await watching.outcome()).exitCode).toBe(0)
})

test('ps names the processes of a container', () => {
  using site = makeSite()
  const pid = site.up({ 'process.args': ['sh', '-c', 'sleep 999 & wait'] })
  const pids = until('two processes', () => {
    const found = JSON.parse(site.call(['ps', '--format', 'json', site.id]).stdout) as readonly number[]
    return found.length === 2 ? found : undefined
  })
  expect(pids).toContain(pid)
  const lines = site.call(['ps', site.id]).stdout.trim().split('\n')
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatch(/^UID +PID .*CMD$/)
  expect(lines.filter((line) => line.endsWith('sleep 999'))).toHaveLength(1)
})

test('a paused container stands still until it is resumed', () => {
  using site = makeSite()
  site.up({ 'process.args': ['sh', '-c', 'while :; do :; done'] })
  const ticks = (): string => site.call(['ps', site.id]).stdout
  expect(site.call(['pause', site.id]).exitCode).toBe(0)
  const pid = Number(site.state().pid)
  const used = (): number => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[13])
  const frozen = used()
  expect(ticks()).toContain('while')
  expect(used()).toBe(frozen)
  expect(site.call(['resume', site.id]).exitCode).toBe(0)
  until('it to use time', () => used() > frozen)
})

test('ids that would lead out of the run root are refused', () => {
  using site = makeSite()
  site.configure()
  for (const id of ['..', '.', 'a/b', '/a', '../a', '', 'a b', 'a\nb', '.plans', 'a'.repeat(256)]) {
    const { exitCode, stderr } = site.call(['create', '--', id])
    expect([id, exitCode, stderr.split('\n')[0]]).toEqual([id, 1, expect.stringMatching(/invalid|container ID/)])
  }
})

test('of many creates of one name at once exactly one makes the container', async () => {
  using site = makeSite()
  site.configure()
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => site.spawn(['create', site.id]).outcome()))
  expect(outcomes.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1)
  for (const { exitCode, stderr } of outcomes) if (exitCode !== 0) expect(stderr).toMatch(/exist/i)
  const starts = await Promise.all(Array.from({ length: 6 }, () => site.spawn(['start', site.id]).outcome()))
  expect(starts.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1)
})

test('a process that has the pid of an init that ended is not taken for it, and gets no signal (S101, S274)', async () => {
  using site = makeSite()
  site.up()
  site.call(['kill', site.id, 'KILL'])
  until('the end', () => site.state().status === 'stopped')
  const impostor = Bun.spawn(['sleep', '1000'])
  const record = join(site.root(), site.id, 'init')
  const stat = readFileSync(record, 'utf8')
  // The same process but for its pid: only the time at which it began tells the two apart.
  writeFileSync(record, stat.replace(/^\d+/, `${impostor.pid}`))
  expect(site.state()).toMatchObject({ status: 'stopped', pid: 0 })
  expect(site.call(['kill', site.id, 'KILL']).exitCode).toBe(1)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(impostor.exitCode).toBeNull()
  impostor.kill('SIGKILL')
  await impostor.exited
})
