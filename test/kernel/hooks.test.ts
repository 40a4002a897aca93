/** Hooks run at their turn, are told of the container, and are waited for. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './leaks.ts'
import { readText } from './machine.ts'
import { expectNothingLeft, fileOf, makeSite, type Runtime, type Site } from './site.ts'

afterEach(expectNothingLeft)

const KINDS = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const
type Kind = (typeof KINDS)[number]

interface Hook {
  readonly path: string
  readonly args?: readonly string[]
  readonly env?: readonly string[]
  readonly timeout?: number
}

const script = (text: string): Hook => ({ path: '/bin/sh', args: ['sh', '-c', text] })

/** Where hooks of the container's root write. */
const within = (kind: Kind): boolean => kind === 'startContainer'

/** Hooks that note `text`, a piece of shell, each with its kind in front. */
function noting(
  site: Site,
  text: string,
): { readonly hooks: Record<Kind, readonly Hook[]>; readonly notes: () => readonly string[] } {
  const outside = fileOf(site, 'notes')
  const hook = (kind: Kind): readonly Hook[] => [
    script(`echo "${kind} ${text}" >>${within(kind) ? '/tmp/notes' : outside}`),
  ]
  return {
    hooks: Object.fromEntries(KINDS.map((kind) => [kind, hook(kind)])) as unknown as Record<Kind, readonly Hook[]>,
    notes: () =>
      [outside, join(site.rootfs, 'tmp', 'notes')].flatMap((path) => (readText(path) ?? '').split('\n').slice(0, -1)),
  }
}

/** The states that hooks of a whole life see. */
function statesSeen(runtime: Runtime): readonly (readonly [string, Record<string, unknown>])[] {
  using site = makeSite()
  const { hooks, notes } = noting(site, '$(cat)')
  site.configure({ hooks, 'root.readonly': false, annotations: { a: 'b' } })
  const steps: (readonly string[])[] = []
  for (const args of [
    ['create', site.id],
    ['start', site.id],
    ['kill', site.id, 'KILL'],
  ]) {
    expect([args, site.call(args, { runtime }).exitCode]).toEqual([args, 0])
    if (args[0] === 'kill')
      until('the end', () => site.call(['state', site.id], { runtime }).stdout.includes('"stopped"'))
    steps.push(notes().map((line) => line.split(' ')[0] ?? ''))
  }
  expect(site.call(['delete', site.id], { runtime }).exitCode).toBe(0)
  steps.push(notes().map((line) => line.split(' ')[0] ?? ''))
  // runc 1.1 runs poststart hooks when it creates; the specification wants them behind start.
  if (runtime === 'coffer')
    expect(steps).toEqual([
      ['prestart', 'createRuntime', 'createContainer'],
      ['prestart', 'createRuntime', 'createContainer', 'poststart', 'startContainer'],
      ['prestart', 'createRuntime', 'createContainer', 'poststart', 'startContainer'],
      ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop', 'startContainer'],
    ])
  return notes().map((line) => {
    const at = line.indexOf(' ')
    const state = JSON.parse(line.slice(at + 1)) as Record<string, unknown>
    expect([state.id, state.bundle]).toEqual([site.id, site.bundle])
    const hasPid = Number(state.pid) > 0
    return [line.slice(0, at), { status: state.status, annotations: state.annotations, hasPid }]
  })
}

test('all six kinds run at their turn and are told what hooks of runc are told', () => {
  const ours = statesSeen('coffer')
  // Of runc 1.1, which runs it early, a poststart hook hears of a created container.
  const isComparable = ([kind]: readonly [string, unknown]): boolean => kind !== 'poststart'
  expect(ours.filter(isComparable)).toEqual(statesSeen('runc').filter(isComparable) as never)
  expect(ours.map(([kind, { status }]) => `${kind} ${status}`)).toEqual([
    'prestart creating',
    'createRuntime creating',
    'createContainer creating',
    'poststart running',
    'poststop stopped',
    'startContainer created',
  ])
})

test('hooks of the runtime run in its namespaces, createContainer in those of the container, startContainer in its root', () => {
  using site = makeSite()
  const { hooks, notes } = noting(site, '$(readlink /proc/self/ns/uts) $([ -e /no-host ] && echo inside || echo host)')
  site.inside('touch /no-host', { 'root.readonly': false })
  site.configure({ hooks, 'root.readonly': false })
  site.call(['create', site.id])
  const { pid } = site.state()
  const own = readNamespace(Number(pid))
  site.call(['start', site.id])
  const host = readNamespace(process.pid)
  until('the hooks', () => notes().length === 5)
  expect(notes()).toEqual([
    `prestart ${host} host`,
    `createRuntime ${host} host`,
    `createContainer ${own} host`,
    `poststart ${host} host`,
    `startContainer ${own} inside`,
  ])
})

const readNamespace = (pid: number): string =>
  Bun.spawnSync(['readlink', `/proc/${pid}/ns/uts`])
    .stdout.toString()
    .trim()

test('a hook gets its own arguments and environment, and nothing of the caller', () => {
  using site = makeSite()
  const out = fileOf(site, 'out')
  const hook = {
    path: '/bin/sh',
    args: ['sh', '-c', `echo "$0 $1" >${out}; cat /proc/self/environ >>${out}`, 'zero', 'one'],
    env: ['A=1', 'B=2'],
  }
  expect(site.run({ 'process.args': ['true'], hooks: { prestart: [hook] } }, { env: { SECRET: 'x' } }).exitCode).toBe(0)
  expect(readFileSync(out, 'utf8').replace(/\0(PWD|SHLVL|_|OLDPWD)=[^\0]*/g, '')).toBe('zero one\nA=1\0B=2\0')
})

for (const kind of ['prestart', 'createRuntime', 'createContainer'] as const) {
  test(`a ${kind} hook that fails fails create, and nothing is left`, () => {
    using site = makeSite()
    const marker = fileOf(site, 'second')
    site.configure({ hooks: { [kind]: [script('echo why not; exit 3'), script(`touch ${marker}`)] } })
    const { exitCode, stderr } = site.call(['create', site.id])
    expect([exitCode, existsSync(marker)]).toEqual([1, false])
    expect(stderr).toContain(`${kind} hook`)
    expect(stderr).toContain('why not')
    expect(site.call(['state', site.id]).stderr).toContain('does not exist')
    expect(site.leaks()).toEqual([])
  })
}

test('a startContainer hook that fails keeps the program from running', () => {
  using site = makeSite()
  site.configure({
    'root.readonly': false,
    'process.args': ['touch', '/tmp/ran'],
    hooks: { startContainer: [script('exit 3')] },
  })
  const { exitCode } = site.call(['run', site.id])
  expect(exitCode).toBe(1)
  expect(existsSync(join(site.rootfs, 'tmp', 'ran'))).toBe(false)
  expect(site.leaks()).toEqual([])
})

test('a hook that ends by a signal has failed', () => {
  using site = makeSite()
  expect(site.run({ hooks: { prestart: [script('kill -9 $$')] } }).exitCode).toBe(1)
})

test('a hook that cannot be executed fails create', () => {
  using site = makeSite()
  for (const path of ['/no/such/hook', '/etc/passwd', '/etc']) {
    const { exitCode, stderr } = site.run({ hooks: { createRuntime: [{ path }] } })
    expect([path, exitCode, stderr.includes(path)]).toEqual([path, 1, true])
  }
})

test('a hook that takes longer than its timeout is killed, with what it started (S252)', () => {
  using site = makeSite()
  const begin = performance.now()
  const hook = { ...script(`sleep 987 & echo $! >${fileOf(site, 'pid')}; sleep 987`), timeout: 1 }
  const { exitCode, stderr } = site.run({ hooks: { prestart: [hook] } })
  expect([exitCode, stderr.includes('within 1 s')]).toEqual([1, true])
  expect(performance.now() - begin).toBeGreaterThan(990)
  const pid = readFileSync(fileOf(site, 'pid'), 'utf8').trim()
  until('what it started to end', () => !/\) [^Z] /.test(readText(`/proc/${pid}/stat`) ?? ''))
})

test('a hook that reads nothing of a large state does not block (S252)', () => {
  using site = makeSite()
  const annotations = { big: 'x'.repeat(300_000) }
  const hooks = { prestart: [script('exit 0')], createContainer: [script('head -c 1 >/dev/null')] }
  expect(site.run({ annotations, hooks, 'process.args': ['true'] }).exitCode).toBe(0)
  const out = fileOf(site, 'out')
  expect(
    site.run({ annotations, hooks: { prestart: [script(`cat >${out}`)] }, 'process.args': ['true'] }).exitCode,
  ).toBe(0)
  expect(JSON.parse(readFileSync(out, 'utf8')).annotations.big).toHaveLength(300_000)
})

test('a poststop hook that fails is a warning: the container is gone and delete has succeeded', () => {
  using site = makeSite()
  const log = fileOf(site, 'log')
  site.up({ hooks: { poststop: [script('exit 4'), script(`touch ${fileOf(site, 'second')}`)] } })
  const { exitCode } = site.call(['delete', '--force', site.id], { globals: ['--log', log] })
  expect(exitCode).toBe(0)
  expect(existsSync(fileOf(site, 'second'))).toBe(true)
  expect(readText(log)).toMatch(/level=warning.*poststop/)
  expect(site.leaks()).toEqual([])
})

test('a poststart hook that fails does not outlive its container unnoticed', () => {
  using site = makeSite()
  site.configure({ hooks: { poststart: [script('exit 4')] } })
  const outcomes = (['coffer', 'runc'] as const).map((runtime) => {
    site.call(['create', site.id], { runtime })
    const { exitCode } = site.call(['start', site.id], { runtime })
    site.call(['delete', '--force', site.id], { runtime })
    return exitCode
  })
  expect(outcomes[0]).toBe(outcomes[1] ?? null)
})
