/** Who runs in a container and with what privilege; names, labels, files of ids, and how commands end. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ptyProgram } from '../kernel/in-terminal.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)
const status = (...words: readonly string[]): number => engine.coffer('run', '--rm', ...words).status
const said = (...words: readonly string[]): string => engine.coffer('run', '--rm', ...words).stderr
const recordOf = (id: string): Readonly<Record<string, unknown>> =>
  JSON.parse(readFileSync(join(engine.dataRoot, 'containers', id, 'container.json'), 'utf8'))

/** Leaves a process to init, and looks a while for a zombie. */
const ORPHAN =
  'sh -c "sleep 0.05 &"; for turn in 1 2 3 4 5 6 7 8 9; do sleep 0.3; ps | grep -q "[[]sleep" || break; done; ps'

describe('the program', () => {
  test('has the directory, user and groups of the flags', () => {
    expect(
      run(
        '-w',
        '/tmp/made/here',
        '-u',
        'guest',
        '--group-add',
        'extra',
        '--group-add',
        '77',
        'ubuntu',
        'sh',
        '-c',
        'pwd; id -u; id -G',
      ),
    ).toBe('/tmp/made/here\n1000\n1000 77 2000')
  })

  test('is that of --entrypoint, with the command behind it', () => {
    expect(run('--entrypoint', 'echo', 'ubuntu', 'one', 'two')).toBe('one two')
  })

  test('runs below an init that reaps orphans, passes signals on and ends as it did', () => {
    expect(run('--init', 'ubuntu', 'sh', '-c', 'cat /proc/1/comm; echo $$ ')).toMatch(/^docker-init\n[2-9]$/)
    expect(status('--init', 'ubuntu', 'sh', '-c', 'exit 7')).toBe(7)
    expect(status('--init', 'ubuntu', 'sh', '-c', 'kill -9 $$')).toBe(137)
    expect(status('--init', 'ubuntu', 'nosuch')).toBe(127)
    expect(run('--init', 'ubuntu', 'sh', '-c', ORPHAN)).not.toMatch(/\[sleep\]/)
    const id = engine.must(
      'run',
      '-d',
      '--init',
      'ubuntu',
      'sh',
      '-c',
      'trap "exit 5" TERM; echo up; while true; do sleep 0.05; done',
    )
    while (!engine.must('logs', id).includes('up')) engine.must('exec', id, 'true')
    engine.must('stop', '--time', '20', id)
    expect(engine.must('wait', id)).toBe('5')
    engine.must('rm', id)
  })

  test('is asked to end by --stop-signal, and killed after --stop-timeout', () => {
    const flags = ['--stop-signal', 'USR1', '--stop-timeout', '20', '--name', 'polite']
    engine.must(
      'run',
      '-d',
      ...flags,
      'ubuntu',
      'sh',
      '-c',
      'trap "exit 6" USR1; echo up; while true; do sleep 0.05; done',
    )
    while (!engine.must('logs', 'polite').includes('up')) engine.must('exec', 'polite', 'true')
    engine.must('stop', 'polite')
    expect(engine.must('wait', 'polite')).toBe('6')
    engine.must('rm', 'polite')
    expect(said('--stop-signal', 'NONE', 'ubuntu', 'true')).toContain('Invalid signal: NONE')
  })
})

test('a flag with an empty word is as if it were not given, as scripts write it', () => {
  const empty = ['--cidfile=', '--platform=', '--stop-signal=', '--name=', '--workdir=', '--cgroup-parent=']
  expect(run(...empty, '--pull', 'never', 'ubuntu', 'sh', '-c', 'pwd')).toBe('/')
})

test('with a terminal each line ends as it does in the terminal of the container, with run and exec', async () => {
  const inTerminal = async (...words: readonly string[]): Promise<string> => {
    const child = engine.spawnThrough(['python3', '-c', ptyProgram()], ...words)
    child.stdin.end()
    return new Response(child.stdout).text()
  }
  expect(await inTerminal('run', '--rm', '-it', 'ubuntu', 'echo', 'run')).toBe('run\r\n')
  engine.must('run', '-dit', '--name', 'typed', 'ubuntu', 'sleep', '1000')
  expect(await inTerminal('exec', '-it', 'typed', 'echo', 'exec')).toBe('exec\r\n')
  engine.must('rm', '-f', 'typed')
})

describe('a command that cannot run', () => {
  test('ends with 125 for a fault of the request, 126 if the program cannot be invoked, 127 if there is none', () => {
    expect(status('--nosuch', 'ubuntu', 'true')).toBe(125)
    const missing = engine.coffer('run', '--rm', 'ubuntu', 'nosuch')
    expect([missing.status, missing.stderr]).toEqual([
      127,
      expect.stringContaining('exec: "nosuch": executable file not found in $PATH'),
    ])
    const path = engine.coffer('run', '--rm', 'ubuntu', '/nosuch')
    expect([path.status, path.stderr]).toEqual([
      127,
      expect.stringContaining('exec: "/nosuch": stat /nosuch: no such file or directory'),
    ])
    const text = engine.coffer('run', '--rm', 'ubuntu', '/etc/passwd')
    expect([text.status, text.stderr]).toEqual([126, expect.stringContaining('exec: "/etc/passwd": permission denied')])
    expect(engine.must('ps', '-aq')).toBe('')
  })

  test('leaves the container without --rm, and exec ends in the same ways', () => {
    expect(engine.coffer('run', '--name', 'stays', 'ubuntu', 'nosuch').status).toBe(127)
    expect(engine.must('ps', '-a')).toContain('stays')
    engine.must('rm', 'stays')
    engine.must('run', '-d', '--name', 'box', 'ubuntu', 'sleep', '1000')
    expect(engine.coffer('exec', 'box', 'nosuch').status).toBe(127)
    expect(engine.coffer('exec', 'box', '/etc/passwd').status).toBe(126)
    engine.must('rm', '--force', 'box')
    const id = engine.must('create', 'ubuntu', 'true')
    expect(engine.coffer('exec', id, 'true').stderr).toContain('is not running')
    engine.must('rm', id)
  })
})

describe('privilege', () => {
  const bounding = (...flags: readonly string[]): string =>
    /CapBnd:\s+(\w+)/.exec(run(...flags, 'ubuntu', 'cat', '/proc/self/status'))?.[1] ?? ''

  test('capabilities are added and dropped', () => {
    expect(bounding('--cap-drop', 'ALL')).toBe('0000000000000000')
    expect(bounding('--cap-drop', 'ALL', '--cap-add', 'chown')).toBe('0000000000000001')
    expect(said('--cap-add', 'CHWN', 'ubuntu', 'true')).toContain('did you mean "CAP_CHOWN"?')
  })

  test('--security-opt decides about new privileges, the filter and what is hidden', () => {
    const state = (...flags: readonly string[]): string => run(...flags, 'ubuntu', 'cat', '/proc/self/status')
    expect(state()).toMatch(/NoNewPrivs:\s+0[\s\S]*Seccomp:\s+2/)
    expect(state('--security-opt', 'no-new-privileges')).toMatch(/NoNewPrivs:\s+1/)
    expect(state('--security-opt', 'no-new-privileges:true')).toMatch(/NoNewPrivs:\s+1/)
    expect(state('--security-opt', 'seccomp=unconfined')).toMatch(/Seccomp:\s+0/)
    expect(run('--security-opt', 'systempaths=unconfined', 'ubuntu', 'mount')).not.toContain('/proc/sys ')
    expect(run('ubuntu', 'mount')).toContain('/proc/sys ')
    expect(said('--security-opt', 'label=type:x', 'ubuntu', 'true')).toContain('no labels of SELinux')
    expect(said('--security-opt', 'nosuch=1', 'ubuntu', 'true')).toContain('they are seccomp=')
  })

  test("a profile of docker's form holds, with the rules that are for this machine", () => {
    const profile = join(engine.directory, 'profile.json')
    const rule = (names: readonly string[], extra: object): object => ({
      names,
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 1,
      ...extra,
    })
    writeFileSync(
      profile,
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] }],
        syscalls: [
          rule(['mkdir', 'mkdirat'], { includes: { minKernel: '4.0' }, excludes: { caps: ['CAP_SYS_ADMIN'] } }),
          rule(['uname'], { includes: { minKernel: '99.0' } }),
        ],
      }),
    )
    const make = ['ubuntu', 'sh', '-c', 'mkdir /made && busybox uname']
    expect(engine.coffer('run', '--rm', '--security-opt', `seccomp=${profile}`, ...make).stderr).toContain(
      'Operation not permitted',
    )
    expect(run('--security-opt', `seccomp=${profile}`, '--cap-add', 'SYS_ADMIN', ...make)).toBe('Linux')
  })
})

describe('a container', () => {
  test('has labels, annotations, a file with its id, and a policy of each kind in its record', () => {
    const [labels, cid] = [join(engine.directory, 'labels'), join(engine.directory, 'cid')]
    writeFileSync(labels, 'a=1\nb\n')
    const flags = [
      '--label-file',
      labels,
      '-l',
      'b=2',
      '--annotation',
      'x=y',
      '--cidfile',
      cid,
      '--restart',
      'on-failure:2',
    ]
    const health = ['--health-cmd', 'true', '--health-interval', '1m30s', '--health-retries', '2']
    const log = ['--log-driver', 'local', '--log-opt', 'max-size=10k', '--log-opt', 'max-file=3']
    const id = engine.must('create', ...flags, ...health, ...log, 'ubuntu', 'true')
    expect(readFileSync(cid, 'utf8')).toBe(id)
    expect(recordOf(id)).toMatchObject({
      labels: { a: '1', b: '2' },
      restart: { when: 'on-failure', maxRetries: 2 },
      health: { test: ['CMD-SHELL', 'true'], intervalNanos: 90e9, timeoutNanos: 30e9, retries: 2 },
      log: { driver: 'local', limitBytes: 10240, files: 3 },
      intent: { annotations: { x: 'y' } },
    })
    expect(engine.coffer('create', '--cidfile', cid, 'ubuntu', 'true').stderr).toContain('container ID file found')
    engine.must('rm', id)
  })

  test('is created, started, paused, resumed and renamed', () => {
    const id = engine.must('create', '--name', 'old', 'ubuntu', 'sleep', '1000')
    expect(engine.coffer('pause', 'old').stderr).toContain('is not running')
    engine.must('start', 'old')
    engine.must('pause', 'old')
    expect(engine.must('ps')).toContain('(Paused)')
    expect(engine.coffer('pause', 'old').stderr).toContain('already paused')
    engine.must('unpause', 'old')
    expect(engine.coffer('unpause', 'old').stderr).toContain('not paused')
    engine.must('rename', 'old', 'new')
    expect(engine.must('exec', 'new', 'echo', 'here')).toBe('here')
    expect(engine.coffer('exec', 'old', 'true').stderr).toContain('No such container: old')
    engine.must('create', '--name', 'old', 'ubuntu', 'true')
    expect(engine.coffer('rename', 'new', 'old').stderr).toContain(
      'Conflict. The container name "/old" is already in use',
    )
    engine.must('rm', '--force', id, 'old')
  })

  test('shows the streams that --attach names, and has no log with --log-driver none', () => {
    const words = ['ubuntu', 'sh', '-c', 'echo out; echo err >&2']
    expect(engine.coffer('run', '--rm', '-a', 'stdout', ...words)).toEqual({ status: 0, stdout: 'out\n', stderr: '' })
    expect(engine.coffer('run', '--rm', '-a', 'STDERR', ...words)).toEqual({ status: 0, stdout: '', stderr: 'err\n' })
    expect(said('-a', 'stdout', '-d', ...words)).toContain('Conflicting options: -a and -d')
    const id = engine.must('run', '-d', '--log-driver', 'none', ...words)
    engine.must('wait', id)
    expect(existsSync(join(engine.dataRoot, 'containers', id, 'log'))).toBe(false)
    engine.must('rm', id)
  })

  test('of flags that exclude each other is told which', () => {
    expect(said('--restart', 'always', 'ubuntu', 'true')).toContain('cannot specify both --restart and --rm')
    expect(said('--no-healthcheck', '--health-cmd', 'x', 'ubuntu', 'true')).toContain('--no-healthcheck conflicts')
    expect(said('--log-driver', 'syslog', 'ubuntu', 'true')).toContain('--log-driver syslog')
    expect(said('--detach-keys', 'ctrl-', 'ubuntu', 'true')).toContain('write it like ctrl-p,ctrl-q')
    expect(said('--cpus', '1', '--cpu-quota', '5', 'ubuntu', 'true')).toContain('exclude each other')
  })
})

describe('exec', () => {
  test('takes user, directory, environment, input and privilege', () => {
    engine.must('run', '-d', '--name', 'box', 'ubuntu', 'sleep', '1000')
    const file = join(engine.directory, 'exec-env')
    writeFileSync(file, 'A=1\n')
    expect(
      engine.must(
        'exec',
        '-u',
        'guest',
        '-w',
        '/tmp',
        '--env-file',
        file,
        '-e',
        'B=2',
        'box',
        'sh',
        '-c',
        'id -u; id -G; pwd; echo $A$B',
      ),
    ).toBe('1000\n1000 2000\n/tmp\n12')
    expect(engine.cofferWith('typed', 'exec', '-i', 'box', 'cat').stdout).toBe('typed')
    expect(engine.cofferWith('typed', 'exec', 'box', 'cat').stdout).toBe('')
    const effective = (...flags: readonly string[]): string =>
      /CapEff:\s+(\w+)/.exec(engine.must('exec', ...flags, 'box', 'cat', '/proc/self/status'))?.[1] ?? ''
    expect(effective()).toBe('00000000a80425fb')
    expect(Number.parseInt(effective('--privileged'), 16)).toBeGreaterThan(0xa80425fb)
    engine.must('exec', '-d', 'box', 'touch', '/tmp/detached')
    while (engine.coffer('exec', 'box', 'ls', '/tmp/detached').status !== 0);
    engine.must('rm', '--force', 'box')
  })
})
