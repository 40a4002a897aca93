import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import { type Argument, slot } from '../linux/call.ts'
import type { Hook } from '../oci/hooks.ts'
import { HOOK_WORDS, type HookState, hookExit, hookReads, planHooks, poststopWords } from './hooks.ts'
import type { Step } from './plan.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const hook: Hook = { path: '/usr/bin/net', args: ['net', 'up'], env: ['A=b'] }
const state: HookState = {
  ociVersion: '1.3.0',
  id: 'web-1',
  status: 'creating',
  pid: slot('init-pid'),
  bundle: '/srv/web',
  annotations: {},
}

/** What is written for a hook, with pids in angle brackets. */
function json(own: Partial<HookState>): string {
  const written: Argument | undefined = planHooks('prestart', [hook], { ...state, ...own })[1]?.call.args[1]
  if (typeof written !== 'object' || !('text' in written)) throw new TypeError('no text')
  return written.text.map((piece) => (typeof piece === 'string' ? piece : `<${piece.slot}>`)).join('')
}

test('a hook gets the state on standard input, its own environment and nothing else', () => {
  const steps = planHooks('createRuntime', [hook], state)
  expect(steps.map(({ call }) => call.name)).toEqual(['memfd_create', 'pwrite64', 'clone3', 'close', 'waitid', 'close'])
  expect(calls(steps[2]?.child ?? [])).toBe(
    [
      'setpgid(0, 0) or EPERM or ENOSYS',
      'dup3(hook-state, 0)',
      'chdir("/srv/web") or ENOENT or EACCES',
      'close_range(3, ~0)',
      'rt_sigprocmask(SIG_SETMASK, [])',
      'execve("/usr/bin/net", ["net", "up"], 1 variable)',
    ].join('\n'),
  )
})

test('the state names the pid that a slot will hold, and annotations only where there are some', () => {
  expect(json({})).toBe('{"ociVersion":"1.3.0","id":"web-1","status":"creating","pid":<init-pid>,"bundle":"/srv/web"}')
  expect(JSON.parse(json({ pid: 7, annotations: { 'a"': 'ü' } }))).toEqual({
    ociVersion: '1.3.0',
    id: 'web-1',
    status: 'creating',
    pid: 7,
    bundle: '/srv/web',
    annotations: { 'a"': 'ü' },
  })
})

test('a hook without args is called by its path', () => {
  const [, , run] = planHooks('prestart', [{ ...hook, args: [] }], state)
  expect(run?.child?.at(-1)?.call.args[1]).toEqual({ strings: ['/usr/bin/net'] })
})

test('only startContainer hooks inherit the environment of the process', () => {
  const environment = (kind: 'prestart' | 'startContainer', own: readonly string[]): unknown =>
    planHooks(kind, [{ ...hook, env: own }], { ...state, env: ['FROM=process'] })[2]?.child?.at(-1)?.call.args[2]
  expect(environment('startContainer', [])).toEqual({ strings: ['FROM=process'] })
  expect(environment('startContainer', ['A=b'])).toEqual({ strings: ['A=b'] })
  expect(environment('prestart', [])).toEqual({ strings: [] })
})

test('hooks in the container are made by clone, which filters let pass, and stay in their directory', () => {
  const [, , run] = planHooks('startContainer', [hook], state)
  expect(run?.call.name).toBe('clone')
  expect(run?.child?.map(({ call }) => call.name)).not.toContain('chdir')
})

test('a hook that is too late is killed with its group, waited for, and fails with ETIMEDOUT', () => {
  const steps = planHooks('createRuntime', [{ ...hook, timeout: 3 }], state)
  const wait = steps.find(({ call }) => call.name === 'ppoll')
  expect(wait?.why).toBe('have the createRuntime hook /usr/bin/net end within 3 s')
  expect(wait?.call.args[2]).toEqual(new Uint8Array(BigUint64Array.of(3n, 0n).buffer))
  expect(wait?.otherwise?.map(({ call }) => call.name)).toEqual(['pidfd_send_signal', 'pidfd_send_signal', 'waitid'])
  expect(wait?.otherwise?.at(-1)?.check).toMatchObject({ offset: 24, equals: 0, errno: 'ETIMEDOUT' })
  // Before Linux 6.9.
  expect(
    calls(wait?.otherwise?.[0]?.otherwise ?? []),
  ).toBe(`hook-killer-pidfd = clone3(pidfd=&hook-killer-pidfd, SIGCHLD)
  child: setpgid(0, hook-pid) or EPERM or ESRCH or EACCES or ENOSYS
    then: kill(0, SIGKILL)
waitid(P_PIDFD, hook-killer-pidfd, &hook-killer-exit, WEXITED)
close(hook-killer-pidfd)`)
})

/** All steps of the executor, branches included. */
const executed = (steps: readonly Step[]): readonly Step[] =>
  steps.flatMap((step) => [step, ...executed(step.then ?? []), ...executed(step.otherwise ?? [])])

test('a failed hook fails the plan, but for poststop', () => {
  const waits = (kind: 'poststart' | 'poststop'): readonly Step[] =>
    executed(planHooks(kind, [{ ...hook, timeout: 3 }], state))
      .filter(({ why }) => why.startsWith('have the'))
      .filter(({ call }) => call.name === 'waitid')
  expect(waits('poststart').map(({ check }) => check?.errno)).toEqual(['ECANCELED', 'ETIMEDOUT'])
  expect(waits('poststop').map(({ check }) => check)).toEqual([undefined, undefined])
})

test('a poststop hook for which there is no room is passed over', () => {
  const fails = new Set(['memfd_create', 'pwrite64', 'clone3'])
  const steps = executed(planHooks('poststop', [hook], state)).filter(({ call }) => fails.has(call.name))
  expect(steps).toHaveLength(4)
  for (const { tolerate } of steps) expect(tolerate).toEqual(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])
})

test('an error can tell how a hook ended and what it printed, if somebody keeps that', () => {
  const program = (own: Partial<HookState>): unknown =>
    executed(planHooks('prestart', [hook], { ...state, ...own })).find(({ call }) => call.name === 'waitid')?.program
  expect(program({})).toBeUndefined()
  expect(program({ output: slot('output') })).toEqual({ ending: hookExit('prestart', 0), output: HOOK_WORDS })
  expect(hookReads({})).toEqual([])
  expect(hookReads({ prestart: [hook], poststop: [hook] })).toEqual([
    hookExit('prestart', 0),
    HOOK_WORDS,
    hookExit('poststop', 0),
    poststopWords(0),
  ])
})

test('each hook has its own exit, and output goes where it is asked to', () => {
  expect(hookExit('poststop', 0).buffer).not.toBe(hookExit('poststop', 1).buffer)
  const run = planHooks('prestart', [hook], { ...state, output: slot('output') })[2]
  expect(run?.child?.filter(({ call }) => call.name === 'dup3').map(({ call }) => call.args[1])).toEqual([0, 1, 2])
})
