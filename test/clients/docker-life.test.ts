/** Containers of dockerd from their creation to their end, with coffer-runc, and that runc makes them live the same. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Docker, IMAGE, RUNTIMES, type Runtime, startDocker } from './docker.ts'
import { HAS_V2_ONLY, type Lab, startLab, until } from './lab.ts'
import { inTerminal } from './terminal.ts'

let lab: Lab
let docker: Docker

beforeAll(async () => {
  lab = await startLab()
  docker = await startDocker(lab)
})

afterAll(async () => {
  expect(await lab.end()).toEqual([])
})

/** A container with this name, which is gone when the test is over. */
function start(runtime: Runtime, name: string, ...words: readonly string[]): Disposable {
  docker.ask('run', '-d', '--runtime', runtime, '--name', name, ...words)
  return { [Symbol.dispose]: () => docker.call('rm', '-f', name) }
}

const stateOf = (name: string): string =>
  docker.ask('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}', name)

/** Says that it has started, and ends with 5 when it is asked to. */
const POLITE = ['sh', '-c', 'trap "echo asked; exit 5" TERM; echo started; while :; do sleep 0.1; done']

test('exec gives output and status, the user, directory and environment that are asked for, and refuses what is not there', () => {
  for (const runtime of RUNTIMES) {
    using _ = start(runtime, 'one', IMAGE, ...POLITE)
    const exec = (...words: readonly string[]): readonly unknown[] => {
      const { exitCode, stdout } = docker.call('exec', ...words)
      return [exitCode, stdout.trim()]
    }
    const script = 'echo $A; id -u; pwd; grep -c one /proc/1/cgroup; exit 9'
    expect(exec('-u', '1000', '-w', '/tmp', '-e', 'A=b', 'one', 'sh', '-c', script)).toEqual([9, 'b\n1000\n/tmp\n0'])
    expect(docker.withInput('typed', 'exec', '-i', 'one', 'cat').stdout).toBe('typed')
    const refused = [126, expect.stringContaining('OCI runtime exec failed')]
    expect([runtime, exec('one', 'missing')]).toEqual([runtime, refused])
    expect([runtime, exec('-w', '/missing', 'one', 'true')]).toEqual([runtime, refused])
    expect(docker.call('exec', '-d', 'one', 'sleep', '555').exitCode).toBe(0)
    expect(docker.ask('top', 'one', '-o', 'pid,args')).toContain('sleep 555')
  }
})

/** Reads until the pattern what a command prints that does not end: docker prints zeros until it has counted twice. */
async function untilPrinted(words: readonly string[], pattern: RegExp): Promise<void> {
  const child = Bun.spawn([...words], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  let text = ''
  for await (const bytes of child.stdout) {
    text += new TextDecoder().decode(bytes)
    if (pattern.test(text)) break
  }
  // Nobody reads it any more, and its next line ends it.
  await child.exited
  expect(text).toMatch(pattern)
}

test('pause stops and unpause goes on, stats count, update changes the limits of what runs, time after time', async () => {
  const [memory, tasks] = HAS_V2_ONLY ? ['memory.max', 'pids.max'] : ['memory/memory.limit_in_bytes', 'pids/pids.max']
  for (const runtime of RUNTIMES) {
    using _ = start(
      runtime,
      'one',
      '-m',
      '100m',
      IMAGE,
      'sh',
      '-c',
      'while :; do echo $((n += 1)) >/n; sleep 0.01; done',
    )
    docker.ask('pause', 'one')
    expect(stateOf('one')).toBe('paused 0 false')
    const count = (): string => docker.ask('cp', 'one:/n', '-')
    expect(count()).toBe(count())
    docker.ask('unpause', 'one')
    const before = count()
    await until('it to go on', () => count() !== before)
    await untilPrinted(
      docker.words('stats', '--format', '{{.Name}} {{.MemUsage}} {{.PIDs}}', 'one'),
      /one [1-9][0-9.]*[KM]iB \/ 100MiB [1-9]\b/,
    )
    docker.ask('update', '--memory', '64m', '--memory-swap', '64m', 'one')
    docker.ask('update', '--pids-limit', '20', '--cpu-shares', '300', 'one')
    docker.ask('update', '--restart', 'always', 'one')
    docker.ask('update', '--memory', '50m', '--memory-swap', '80m', '--memory-reservation', '10m', 'one')
    const limits = docker.ask('exec', 'one', 'sh', '-c', `cd /sys/fs/cgroup; cat ${memory} ${tasks}`)
    expect([runtime, limits]).toEqual([runtime, '52428800\n20'])
  }
})

test('an end is reported as it was: by itself, asked, forced, or killed', async () => {
  for (const runtime of RUNTIMES) {
    using _ = start(runtime, 'one', IMAGE, ...POLITE)
    await until('it to start', () => docker.ask('logs', 'one') === 'started')
    docker.ask('stop', 'one')
    expect([stateOf('one'), docker.ask('logs', 'one')]).toEqual(['exited 5 false', 'started\nasked'])
    docker.ask('start', 'one')
    docker.ask('kill', 'one')
    expect([docker.ask('wait', 'one'), stateOf('one')]).toEqual(['137', 'exited 137 false'])
    docker.ask('start', 'one')
    docker.ask('restart', '-t', '0', 'one')
    expect(stateOf('one')).toBe('running 0 false')
    docker.ask('rm', '-f', 'one')
    using _deaf = start(runtime, 'deaf', IMAGE, 'sleep', '1000')
    docker.ask('stop', '-t', '0', 'deaf')
    expect(stateOf('deaf')).toBe('exited 137 false')
    using _init = start(runtime, 'init', '--init', '--stop-signal', 'INT', IMAGE, 'sleep', '1000')
    docker.ask('stop', 'init')
    expect(stateOf('init')).toBe('exited 130 false')
  }
})

test('a container that fails is started again as often as its policy says, and one that is not healthy is found out', async () => {
  for (const runtime of RUNTIMES) {
    using _failing = start(runtime, 'failing', '--restart', 'on-failure:2', IMAGE, 'sh', '-c', 'echo again; exit 3')
    using _ill = start(
      ...([
        runtime,
        'ill',
        '--health-cmd',
        'test -e /well',
        '--health-interval',
        '100ms',
        '--health-retries',
        '1',
      ] as const),
      ...[IMAGE, 'sleep', '1000'],
    )
    const health = (): string => docker.ask('inspect', '-f', '{{.State.Health.Status}}', 'ill')
    await until('its illness', () => health() === 'unhealthy')
    docker.ask('exec', 'ill', 'touch', '/well')
    await until('its health', () => health() === 'healthy')
    const ended = (): boolean => stateOf('failing') === 'exited 3 false'
    await until('its last end', () => ended() && docker.ask('logs', 'failing') === 'again\nagain\nagain')
    expect(docker.ask('inspect', '-f', '{{.RestartCount}}', 'failing')).toBe('2')
  }
})

test('events of a life are in the order of those of runc', () => {
  const [coffer, runc] = RUNTIMES.map((runtime) => {
    {
      using _ = start(runtime, `life-${runtime}`, IMAGE, 'sleep', '1000')
      const name = `life-${runtime}`
      docker.ask('exec', name, 'true')
      for (const command of ['pause', 'unpause', 'kill', 'start']) docker.ask(command, name)
      docker.ask('stop', '-t', '0', name)
    }
    const filters = ['--filter', `container=life-${runtime}`, '--format', '{{.Action}} {{.Actor.Attributes.exitCode}}']
    return docker.ask('events', '--since', '1h', '--until', new Date().toISOString(), ...filters).split('\n')
  })
  expect(coffer?.filter((line) => !line.startsWith('exec_'))).toEqual([
    ...[
      'create <no value>',
      'start <no value>',
      'pause <no value>',
      'unpause <no value>',
      'kill <no value>',
      'die 137',
    ],
    ...['start <no value>', 'kill <no value>', 'kill <no value>', 'die 137', 'stop <no value>', 'destroy <no value>'],
  ])
  expect(coffer?.toSorted()).toEqual(runc?.toSorted() ?? [])
})

test('a file goes in and out, a change is seen, and an image is made of it', () => {
  using _ = start('coffer', 'one', IMAGE, 'sleep', '1000')
  const file = join(lab.directory, 'given')
  writeFileSync(file, 'words')
  docker.ask('cp', file, 'one:/tmp/given')
  expect(docker.ask('exec', 'one', 'cat', '/tmp/given')).toBe('words')
  expect(docker.ask('diff', 'one')).toBe('C /tmp\nA /tmp/given')
  docker.ask('commit', 'one', 'changed')
  expect(docker.ask('run', '--rm', 'changed', 'cat', '/tmp/given')).toBe('words')
})

test('an image is built, each step in a container', () => {
  const context = join(lab.directory, 'context')
  mkdirSync(context)
  const steps = [
    `FROM ${IMAGE}`,
    'RUN id -u >/who && hostname >/where',
    'USER 1000',
    'WORKDIR /tmp',
    'RUN id -u >who',
    'CMD cat /who who',
  ]
  writeFileSync(join(context, 'Dockerfile'), steps.join('\n'))
  docker.ask('build', '-t', 'built', context)
  expect(docker.ask('run', '--rm', 'built')).toBe('0\n1000')
})

test('containers of one network find each other by name', () => {
  docker.ask('network', 'create', 'between')
  using _ = start('coffer', 'server', '--network', 'between', IMAGE, 'sh', '-c', 'echo hello | nc -l -p 80')
  const ask = 'until nc -w 1 server 80; do sleep 0.1; done'
  expect(docker.ask('run', '--rm', '--network', 'between', IMAGE, 'sh', '-c', ask)).toBe('hello')
})

test('run -it is a shell in a terminal with its size, which changes with it, and ends with the status of the shell', async () => {
  for (const runtime of RUNTIMES) {
    const shell = inTerminal(docker.words('run', '--rm', '-it', '--runtime', runtime, IMAGE, 'sh'))
    await shell.sees('# ')
    shell.type('tty; stat -c %t:%T /dev/console\n')
    await shell.sees('/dev/pts/0\r\n88:0')
    shell.resize(120, 40)
    shell.type('until stty size | grep "40 120"; do sleep 0.1; done\n')
    await shell.sees('\r\n40 120\r\n')
    shell.type("sh -c 'echo sl''eeping; sleep 1000'\n")
    await shell.sees('sleeping')
    shell.type('\x03')
    await shell.sees('^C')
    shell.type('exit $((6 + 1))\n')
    expect([runtime, await shell.exited]).toEqual([runtime, 7])
  }
})

test('exec -it has a terminal of its own, and attach is left by its keys without an end of the container', async () => {
  for (const runtime of RUNTIMES) {
    using _ = start(runtime, 'one', '-it', IMAGE, 'sh')
    const exec = inTerminal(docker.words('exec', '-it', 'one', 'sh'))
    exec.type('tty; exit 3\n')
    await exec.sees('/dev/pts/1')
    expect(await exec.exited).toBe(3)
    const attached = inTerminal(docker.words('attach', 'one'))
    attached.type('echo a$((1 + 1))c\n')
    await attached.sees('a2c')
    attached.type('\x10\x11')
    await attached.exited
    expect(stateOf('one')).toBe('running 0 false')
  }
})
