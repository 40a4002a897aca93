/** What `coffer why` says of ends and failures that really happened. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeRootfs, writeConfig } from '../kernel/bundle.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

interface Answer {
  readonly subject: {
    readonly kind: string
    readonly id?: string
    readonly name?: string
    readonly command?: string
    readonly status?: string
  }
  readonly cause: string
  readonly summary: string
  readonly exitStatus?: number
  readonly signal?: string
  readonly hint?: string
  readonly see: readonly string[]
  readonly sent?: { readonly command: string; readonly by: string; readonly waitedSeconds?: number }
  readonly memory?: {
    readonly kills: number
    readonly peakBytes?: number
    readonly limitBytes?: number
    readonly victims: readonly { readonly name: string; readonly isInit?: boolean }[]
  }
  readonly error?: { readonly code?: string; readonly path?: string; readonly step?: string }
  readonly failed?: { readonly status: number }
  readonly printed: readonly string[]
}

const why = (...words: readonly string[]): Answer => JSON.parse(engine.must('why', '--json', ...words)) as Answer

/** Runs it to its end in the background; answers why it ended. */
function ended(name: string, ...words: readonly string[]): Answer {
  engine.must('run', '-d', '--name', name, ...words)
  engine.must('wait', name)
  return why(name)
}

const shell = (name: string, script: string, ...flags: readonly string[]): Answer =>
  ended(name, ...flags, 'busybox', 'sh', '-c', script)

const initOf = (id: string): number => Number.parseInt(readFileSync(join(engine.runRoot, id, 'init'), 'utf8'), 10)

/** Of all signals to itself the first process of a pid namespace hears only those that it handles: pid_namespaces(7). */
const asAny = ['--pid', 'host']

/** Where nobody may read the kernel's log, nobody knows who was killed. */
const readsKernelLog = Bun.spawnSync(['dmesg']).exitCode === 0
/** Takes memory that it writes to; busybox holds a line of dd's block size. */
const GREEDY = 'dd if=/dev/zero of=/dev/null bs=200M count=1'

describe('137', () => {
  test('the limit of its memory: which process, its peak, and the limit', () => {
    const { cause, memory, signal, hint } = ended(
      'oom',
      '-m',
      '32m',
      'busybox',
      'dd',
      'if=/dev/zero',
      'of=/dev/null',
      'bs=200M',
    )
    expect([cause, signal, memory?.kills, memory?.limitBytes]).toEqual(['out-of-memory', 'SIGKILL', 1, 32 << 20])
    if (memory?.peakBytes !== undefined) expect(memory.peakBytes).toBeGreaterThan(24 << 20)
    if (readsKernelLog) expect(memory?.victims).toMatchObject([{ name: 'dd' }])
    expect(hint).toContain('32 MiB')
    expect(engine.must('why', 'oom')).toMatch(/oom \([0-9a-f]{12}\) ended with status 137, .*: the kernel killed it/)
  })

  test('the limit of its memory, for a child whose status its first process passed on', () => {
    const { cause, memory, signal } = shell('oom-child', `${GREEDY}; exit $?`, '-m', '32m')
    expect([cause, signal, memory?.kills]).toEqual(['out-of-memory', undefined, 1])
    if (readsKernelLog) expect(memory?.victims[0]?.isInit).not.toBe(true)
  })

  test('a child that was killed is told of, and is not why its first process ended later', () => {
    expect(shell('oom-before', `${GREEDY}; exit 3`, '-m', '32m')).toMatchObject({
      cause: 'status',
      exitStatus: 3,
      memory: { kills: 1 },
    })
  })

  test('coffer kill, and by whom', () => {
    engine.must('run', '-d', '--name', 'killed', 'busybox', 'sleep', '1000')
    engine.must('kill', 'killed')
    engine.must('wait', 'killed')
    expect(why('killed')).toMatchObject({ cause: 'killed', exitStatus: 137, sent: { command: 'kill', by: 'root' } })
  })

  test('a stop that waited in vain, and for how long', () => {
    engine.must('run', '-d', '--name', 'stubborn', 'busybox', 'sleep', '1000')
    engine.must('stop', '--time', '1', 'stubborn')
    expect(why('stubborn')).toMatchObject({ cause: 'stop-timed-out', exitStatus: 137, sent: { waitedSeconds: 1 } })
    expect(why('stubborn').hint).toContain('trap')
  })

  test('somebody else, who is not named', () => {
    const id = engine.must('run', '-d', '--name', 'shot', 'busybox', 'sleep', '1000')
    process.kill(initOf(id), 'SIGKILL')
    engine.must('wait', 'shot')
    const { cause, sent, summary } = why('shot')
    expect([cause, sent]).toEqual(['killed', undefined])
    expect(summary).toContain('somebody with the right to')
  })
})

describe('another end', () => {
  test('a stop that was heard: it ended by itself, and who asked is told', () => {
    const script = 'trap "exit 4" TERM; echo ready; while :; do sleep 0.1; done'
    engine.must('run', '-d', '--name', 'polite', 'busybox', 'sh', '-c', script)
    while (engine.must('logs', 'polite') !== 'ready');
    engine.must('stop', 'polite')
    expect(why('polite')).toMatchObject({ cause: 'status', exitStatus: 4, sent: { command: 'stop', by: 'root' } })
    expect(engine.must('why', 'polite')).toContain('SIGTERM by root, with coffer stop')
  })

  for (const [name, signal, cause, words] of [
    ['segv', 'SEGV', 'signal', 'memory that it does not have'],
    ['abrt', 'ABRT', 'signal', 'abort(3)'],
    ['sys', 'SYS', 'seccomp', 'seccomp filter'],
    ['usr1', 'USR1', 'signal', 'somebody with the right to'],
  ] as const)
    test(`SIG${signal}: ${words}`, () => {
      const answer = shell(name, `kill -${signal} $$`, ...asAny)
      expect([answer.cause, answer.signal]).toEqual([cause, `SIG${signal}`])
      expect(answer.summary).toContain(words)
    })

  test('127 and 126 of a shell in it, with what it printed last', () => {
    expect(shell('absent', 'echo one; no-such-command')).toMatchObject({
      cause: 'not-found',
      exitStatus: 127,
      printed: ['one', 'sh: no-such-command: not found'],
    })
    expect(shell('unready', '/etc/passwd')).toMatchObject({ cause: 'not-runnable', exitStatus: 126 })
  })

  test('a status of its own, and one that says which signal ended a child', () => {
    expect(shell('own', 'exit 3')).toMatchObject({ cause: 'status', exitStatus: 3 })
    expect(shell('passed', 'sh -c "kill -SEGV \\$\\$"; exit $?')).toMatchObject({ cause: 'passed-on', exitStatus: 139 })
    expect(shell('fine', 'true')).toMatchObject({ cause: 'ended', exitStatus: 0 })
  })

  test('of a log that is long, the last lines are found', () => {
    const { printed } = shell(
      'long',
      'i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; printf "a\\033[2Jb"; exit 1',
    )
    expect(printed.slice(-2)).toEqual(['line 59999', 'a\u001b[2Jb'])
    expect(engine.must('why', 'long')).not.toContain('\u001b')
  })

  test('one that runs has not ended, and one that was started again has forgotten', () => {
    engine.must('start', 'killed')
    expect(why('killed')).toMatchObject({ cause: 'running', subject: { status: 'running' } })
    process.kill(initOf(why('killed').subject.id ?? ''), 'SIGKILL')
    engine.must('wait', 'killed')
    expect(why('killed').sent).toBeUndefined()
  })

  test('one whose monitor was killed: nobody saw it', () => {
    const id = engine.must('run', '-d', '--name', 'unseen', 'busybox', 'sleep', '1000')
    const init = initOf(id)
    const monitor = Number(/PPid:\t(\d+)/.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1])
    expect(readFileSync(`/proc/${monitor}/cmdline`, 'utf8')).toContain('coffer-monitor')
    process.kill(monitor, 'SIGKILL')
    process.kill(init, 'SIGKILL')
    while (existsSync(`/proc/${init}/ns/pid`)) Bun.spawnSync(['true'])
    expect(why('unseen')).toMatchObject({ cause: 'unseen' })
  })
})

describe('the last failure', () => {
  test('of a container that removes itself, by itself and by its name', () => {
    expect(engine.coffer('run', '--rm', '--name', 'gone', 'busybox', 'sh', '-c', 'exit 5').status).toBe(5)
    expect(why()).toMatchObject({ cause: 'status', exitStatus: 5, subject: { name: 'gone' } })
    expect(why('gone').exitStatus).toBe(5)
  })

  test('of a command: status, system call, errno, path, the step, and no word of the environment', () => {
    const { status } = engine.coffer('run', '-e', 'TOKEN=geheim', 'busybox', 'no-such-program')
    const { error, subject, exitStatus, see } = why()
    expect([subject.command, exitStatus]).toEqual(['coffer run', status])
    expect(error).toMatchObject({ code: 'ENOENT', path: '/bin/no-such-program' })
    expect(error?.step).toContain('/bin/no-such-program')
    expect(see).toContain('access(2)')
    const kept = join(engine.runRoot, '.last-failure')
    expect(readFileSync(kept, 'utf8')).not.toContain('geheim')
    expect(statSync(kept).mode & 0o777).toBe(0o600)
  })

  test('of a command on several containers, the last one', () => {
    engine.coffer('stop', 'absent-1', 'absent-2')
    expect(why().summary).toContain('absent-2')
  })

  test('of a tool that was in another root by then: nothing is written there', () => {
    const root = join(engine.directory, 'other')
    makeRootfs(root)
    expect(engine.coffer('chroot', root, '/no-such-program').status).toBe(127)
    expect(why()).toMatchObject({ exitStatus: 127, subject: { command: 'coffer chroot' }, error: { code: 'ENOENT' } })
    expect(readdirSync(root).sort()).toEqual(['bin', 'dev', 'etc', 'mnt', 'proc', 'root', 'sys', 'tmp'])
  })

  test('what succeeds, and why itself, leave it alone', () => {
    engine.coffer('netns', 'exec', 'coffer-no-such-network', 'true')
    engine.must('run', '--rm', 'busybox', 'true')
    expect(engine.coffer('why', 'no-such-container').status).toBe(125)
    expect(why().subject.command).toBe('coffer netns exec')
  })

  test('where nothing has failed, that is said', () => {
    const empty = join(engine.directory, 'empty')
    mkdirSync(empty)
    expect(engine.coffer('why', '--root', empty).stderr).toContain('cannot say what failed last: nothing did')
    writeFileSync(join(empty, '.last-failure'), '{"half')
    expect(engine.coffer('why', '--root', empty).status).toBe(125)
  })
})

describe('of coffer-runc', () => {
  const runc = (...words: readonly string[]): number =>
    Bun.spawnSync(
      [join(import.meta.dir, '..', '..', 'dist', 'coffer-runc'), '--root', join(engine.directory, 'runc'), ...words],
      {
        stdio: ['ignore', 'ignore', 'ignore'],
      },
    ).exitCode

  test('a create that failed names the step, and a container that has ended says who knows its status', () => {
    const bundle = join(engine.directory, 'bundle')
    makeRootfs(join(bundle, 'rootfs'))
    const cgroup = { 'linux.cgroupsPath': `/coffer-why-${process.pid}`, 'process.args': ['sleep', '1000'] }
    writeConfig(bundle, { ...cgroup, '+mounts': [{ destination: '/x', type: 'no-such-type', source: 'none' }] })
    const root = ['--root', join(engine.directory, 'runc')]
    expect(runc('create', '--bundle', bundle, 'one')).not.toBe(0)
    expect(why(...root, 'one')).toMatchObject({ cause: 'failed', error: { code: 'ENODEV' } })
    expect(why(...root).error?.step).toContain('"no-such-type"')
    writeConfig(bundle, cgroup)
    expect(runc('create', '--bundle', bundle, 'one')).toBe(0)
    expect(why(...root, 'one')).toMatchObject({ cause: 'created', failed: { status: 1 } })
    expect(runc('start', 'one')).toBe(0)
    expect(why(...root, 'one').cause).toBe('running')
    runc('kill', 'one', 'KILL')
    while (why(...root, 'one').cause === 'running') Bun.spawnSync(['true'])
    expect(why(...root, 'one')).toMatchObject({ cause: 'unseen', subject: { status: 'stopped' } })
    expect(runc('delete', '--force', 'one')).toBe(0)
  })
})
