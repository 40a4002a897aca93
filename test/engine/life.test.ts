/** The life of containers: lists, logs, restarts, and commands on several at once. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasEnded } from '../crash/kill.ts'
import { until as holds } from '../kernel/leaks.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const pathOf = (id: string, name: string): string => join(engine.dataRoot, 'containers', id, name)
const shell = (name: string, script: string): string =>
  engine.must('run', '-d', '--name', name, 'busybox', 'sh', '-c', script)

/** Resolves when `holds` does; it is asked anew whenever something changes in the directory of the container. */
async function until(id: string, holds: () => boolean): Promise<void> {
  const changes = watch(pathOf(id, '.'))
  try {
    while (!holds()) await new Promise((resolve) => changes.once('change', resolve))
  } finally {
    changes.close()
  }
}

describe('ps', () => {
  test("has docker's columns and words", () => {
    const id = shell('listed', 'echo a very long command line; exit 3')
    engine.must('wait', 'listed')
    const [title = '', row = ''] = engine.must('ps', '--all').split('\n')
    expect(title).toMatch(/^CONTAINER ID {3}IMAGE {5}COMMAND +CREATED +STATUS +PORTS {5}NAMES$/)
    expect(row).toMatch(
      new RegExp(`^${id.slice(0, 12)} {3}busybox {3}"sh -c 'echo a very …" +.+ ago +Exited \\(3\\) .+ ago +listed$`),
    )
    expect(engine.must('ps')).not.toContain('listed')
    engine.must('rm', 'listed')
  })

  test('filters, counts and templates choose what is shown', () => {
    const one = shell('one', 'exit 1')
    const two = shell('two', 'sleep 1000')
    engine.must('wait', 'one')
    const names = (...words: readonly string[]): string => engine.must('ps', ...words, '--format', '{{.Names}}')
    expect(names('--filter', 'status=exited')).toBe('one')
    expect(names('--filter', 'exited=1')).toBe('one')
    expect(names('-a', '--filter', 'exited=2')).toBe('')
    expect(names('-a', '--filter', 'name=^t')).toBe('two')
    expect(names('-a', '--filter', 'name=one', '--filter', 'name=two')).toBe('two\none')
    expect(names('-a', '--filter', `id=${one.slice(0, 10)}`)).toBe('one')
    expect(names('-a', '--filter', 'before=two')).toBe('one')
    expect(names('-a', '--filter', 'since=one')).toBe('two')
    expect(names('--filter', 'ancestor=busybox')).toBe('two')
    expect(names('-l')).toBe('two')
    expect(names('-n', '2')).toBe('two\none')
    expect(engine.must('ps', '-q', '--no-trunc')).toBe(two)
    expect(engine.must('ps', '--format', 'table {{.ID}}\t{{.State}}')).toBe(
      `CONTAINER ID   STATE\n${two.slice(0, 12)}   running`,
    )
    expect(JSON.parse(engine.must('container', 'ls', '--format', 'json')).State).toBe('running')
    engine.must('pause', 'two')
    expect(engine.must('ps', '--format', '{{.Status}}')).toMatch(/^Up .* \(Paused\)$/)
    engine.must('unpause', 'two')
    expect(engine.coffer('ps', '--filter', 'colour=red').status).toBe(125)
    engine.must('rm', '--force', 'one', 'two')
  })

  test('the size is what was written, beside what is in the image', () => {
    shell('sized', 'dd if=/dev/zero of=/tmp/file bs=1000 count=5 2>/dev/null')
    engine.must('wait', 'sized')
    expect(engine.must('ps', '-a', '--size', '--format', '{{.Size}}')).toMatch(/^5kB \(virtual .+MB\)$/)
    engine.must('rm', 'sized')
  })
})

describe('logs', () => {
  test('the last lines, with times, and those of a span', () => {
    shell('lines', 'seq 1 5; printf rest')
    engine.must('wait', 'lines')
    expect(engine.must('logs', '--tail', '2', 'lines')).toBe('5\nrest')
    expect(engine.must('logs', '-n', '0', 'lines')).toBe('')
    expect(engine.must('logs', '--tail', 'all', 'lines')).toBe('1\n2\n3\n4\n5\nrest')
    const stamped = engine.must('logs', '--timestamps', 'lines').split('\n')
    expect(stamped[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z 1$/)
    expect(engine.must('logs', '--since', '1h', 'lines').split('\n').length).toBe(6)
    expect(engine.must('logs', '--until', '1h', 'lines')).toBe('')
    expect(engine.must('logs', '--since', '2099-01-01', 'lines')).toBe('')
    expect(engine.coffer('logs', '--since', 'soon', 'lines').status).toBe(125)
    engine.must('rm', 'lines')
  })

  test('who follows sees what comes, and the end', async () => {
    engine.must('run', '-d', '-i', '--name', 'talks', 'busybox', 'cat')
    const following = engine.spawn('logs', '--follow', 'talks')
    const attached = engine.spawn('attach', 'talks')
    attached.stdin.write('first\n')
    const { value } = await following.stdout.getReader().read()
    expect(Buffer.from(value ?? []).toString()).toBe('first\n')
    attached.stdin.end()
    expect(await following.exited).toBe(0)
    engine.must('rm', 'talks')
  })

  test('what comes fast is whole, for who is attached and in the log, also when one goes away in the middle', async () => {
    const lines = 'seq 100001 900000'
    const digest = (data: Uint8Array | string): string => new Bun.CryptoHasher('sha256').update(data).digest('hex')
    const expected = digest(Bun.spawnSync(['sh', '-c', lines]).stdout)
    const run = ['run', '--name', 'fast', 'busybox', 'sh', '-c', `${lines}; ${lines} >&2`]
    const attached = engine.spawn(...run)
    const [stdout, stderr] = await Promise.all([attached.stdout.bytes(), attached.stderr.bytes()])
    expect([await attached.exited, digest(stdout), digest(stderr)]).toEqual([0, expected, expected])
    const { stdout: kept, stderr: keptErrors } = engine.coffer('logs', 'fast')
    expect([digest(kept), digest(keptErrors)]).toEqual([expected, expected])
    engine.must('rm', 'fast')
    const leaving = engine.spawn(...run)
    await leaving.stdout.getReader().read()
    leaving.kill('SIGKILL')
    await leaving.exited
    expect(engine.must('wait', 'fast')).toBe('0')
    expect(digest(engine.coffer('logs', 'fast').stdout)).toBe(expected)
    expect(engine.must('inspect', '--format', '{{.State.Status}}', 'fast')).toBe('exited')
    engine.must('rm', 'fast')
  })

  test('files that were rotated away are read, the oldest first', () => {
    const id = shell('turns', 'true')
    engine.must('wait', 'turns')
    const record = JSON.parse(readFileSync(pathOf(id, 'container.json'), 'utf8'))
    record.log = { driver: 'local', limitBytes: 600, files: 3 }
    record.intent.args = ['sh', '-c', 'for n in $(seq 1 100); do echo line $n; sleep 0.001; done']
    writeFileSync(pathOf(id, 'container.json'), JSON.stringify(record))
    engine.must('start', 'turns')
    engine.must('wait', 'turns')
    const lines = engine.must('logs', 'turns').split('\n')
    expect([existsSync(pathOf(id, 'log.2')), existsSync(pathOf(id, 'log.3'))]).toEqual([true, false])
    const numbers = lines.map((line) => Number(line.split(' ')[1]))
    expect(numbers[numbers.length - 1]).toBe(100)
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index))
    engine.must('rm', 'turns')
  })

  test('files that are rotated away meanwhile are no error', () => {
    const options = ['--log-opt', 'max-size=4k', '--log-opt', 'max-file=8']
    const script = 'i=0; while :; do echo $i; i=$((i+1)); done'
    engine.must('run', '-d', '--name', 'busy-log', ...options, 'busybox', 'sh', '-c', script)
    const failed = Array.from({ length: 60 }, () => engine.coffer('logs', 'busy-log')).filter(
      ({ status }) => status !== 0,
    )
    engine.must('rm', '-f', 'busy-log')
    expect(failed.map(({ stderr }) => stderr)).toEqual([])
  })
})

describe('several at once', () => {
  test('a command goes on behind a container that is not there, and its status says so', () => {
    shell('here', 'sleep 1000')
    const { status, stdout, stderr } = engine.coffer('stop', '-t', '0', 'absent', 'here')
    expect([status, stdout, stderr]).toEqual([1, 'here\n', expect.stringContaining('No such container: absent')])
    expect(engine.coffer('rm', 'here', 'absent').status).toBe(1)
    expect(engine.must('ps', '-aq')).toBe('')
  })

  test('a new name is taken and the old one is free', () => {
    shell('old', 'true')
    engine.must('wait', 'old')
    engine.must('rename', 'old', 'new')
    expect(engine.coffer('logs', 'old').status).toBe(1)
    shell('old', 'true')
    expect(engine.coffer('rename', 'old', 'new').status).toBe(1)
    engine.must('rm', '-f', 'old', 'new')
  })

  test('a container that does not run is not killed, and said so', () => {
    shell('done', 'true')
    engine.must('wait', 'done')
    const { status, stderr } = engine.coffer('kill', 'done')
    expect([status, stderr]).toEqual([1, expect.stringContaining('is not running')])
    engine.must('rm', 'done')
  })

  test('one that is killed has ended and is cleaned up when kill answers, so that start starts it', async () => {
    const id = shell('killed', 'sleep 1000')
    const slow = Bun.spawn(['flock', pathOf(id, '.'), 'sh', '-c', 'echo held; read line'], {
      stdin: 'pipe',
      stdout: 'pipe',
    })
    await slow.stdout.getReader().read()
    const killing = engine.spawn('kill', 'killed')
    const isLeft = killing.exited.then(() => existsSync(join(engine.runRoot, id)))
    await until(id, () => existsSync(pathOf(id, 'exit')))
    slow.stdin.end()
    expect(await isLeft).toBe(false)
    engine.must('start', 'killed')
    expect(engine.must('inspect', '-f', '{{.State.Running}}', 'killed')).toBe('true')
    engine.must('rm', '-f', 'killed')
  })
})

describe('wait', () => {
  test('whoever comes when it has ended already waits for what is done behind it, too', async () => {
    const id = shell('late', 'sleep 1000')
    const slow = Bun.spawn(['flock', pathOf(id, '.'), 'sh', '-c', 'echo held; read line'], {
      stdin: 'pipe',
      stdout: 'pipe',
    })
    await slow.stdout.getReader().read()
    process.kill(Number.parseInt(readFileSync(join(engine.runRoot, id, 'init'), 'utf8'), 10), 'SIGKILL')
    const listens = (): boolean =>
      readFileSync('/proc/net/unix', 'utf8').includes(`${engine.runRoot}/.attach/${id.slice(0, 32)}`)
    holds('its monitor to clean up', () => existsSync(pathOf(id, 'exit')) && !listens())
    const waiting = engine.spawn('wait', 'late')
    const isHeld = (): boolean =>
      readFileSync('/proc/locks', 'utf8').includes(`-> FLOCK  ADVISORY  WRITE ${waiting.pid} `)
    holds('the end of wait', () => hasEnded(waiting.pid) || isHeld())
    slow.stdin.end()
    expect(await new Response(waiting.stdout).text()).toBe('137\n')
    expect(existsSync(join(engine.runRoot, id))).toBe(false)
    engine.must('rm', 'late')
  })
})

describe('inspect', () => {
  test("is docker's document, or what a template takes of it", () => {
    const id = engine.must('run', '-d', '--name', 'seen', '-m', '64m', 'busybox', 'sleep', '1000')
    const [document] = JSON.parse(engine.must('inspect', 'seen'))
    const pid = Number(readFileSync(join(engine.runRoot, id, 'init'), 'utf8').split(' ')[0])
    expect(document).toMatchObject({
      Id: id,
      Name: '/seen',
      Path: 'sleep',
      Args: ['1000'],
      State: { Status: 'running', Running: true, Pid: pid, ExitCode: 0, FinishedAt: '0001-01-01T00:00:00Z' },
      HostConfig: { Memory: 64 << 20, RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } },
    })
    expect(engine.must('inspect', '--format', '{{.State.Pid}}', 'seen')).toBe(String(pid))
    expect(engine.must('inspect', '-f', '{{range .Args}}[{{.}}]{{end}}', 'seen', 'seen')).toBe('[1000]\n[1000]')
    const { status, stdout } = engine.coffer('inspect', 'absent', 'seen')
    expect([status, JSON.parse(stdout).length]).toEqual([1, 1])
    expect(engine.must('top', 'seen')).toMatch(/^UID +PID +PPID.*\nroot +\d+ .* sleep 1000$/)
    engine.must('rm', '-f', 'seen')
  })

  test('says which container was killed for want of memory, and which by hand', () => {
    engine.must(
      'run',
      '-d',
      '--name',
      'greedy',
      '-m',
      '16m',
      'busybox',
      'sh',
      '-c',
      'dd if=/dev/zero of=/dev/null bs=64M count=1; exit 137',
    )
    shell('killed', 'sleep 1000')
    engine.must('kill', 'killed')
    const told = (name: string): string => {
      engine.must('wait', name)
      return engine.must('inspect', '--format', '{{.State.ExitCode}} {{.State.OOMKilled}}', name)
    }
    expect([told('greedy'), told('killed')]).toEqual(['137 true', '137 false'])
    engine.must('rm', 'greedy', 'killed')
  })
})

test("stats has docker's columns, and those of pressure", () => {
  engine.must('run', '-d', '--name', 'busy', '-m', '64m', '--network', 'none', 'busybox', 'sleep', '1000')
  const [title = '', row = ''] = engine.must('stats', '--no-stream', 'busy').split('\n')
  const titles = 'CONTAINER ID|NAME|CPU %|MEM USAGE / LIMIT|MEM %|NET I/O|BLOCK I/O|PIDS|CPU WAIT|MEM WAIT|IO WAIT'
  expect(title.split(/ {2,}/)).toEqual(titles.split('|'))
  expect(row).toMatch(/ busy +[\d.]+% +[\d.]+[KM]?i?B \/ 64MiB +[\d.]+% +0B \/ 0B +/)
  expect(engine.must('stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}')).toBe('busy 1')
  engine.must('rm', '-f', 'busy')
})

test('prune removes those that do not run, when it is told to', () => {
  const id = shell('gone', 'true')
  shell('runs', 'sleep 1000')
  engine.must('wait', 'gone')
  engine.must('container', 'prune')
  engine.must('container', 'prune', '--force', '--filter', 'until=1h')
  expect(engine.must('ps', '-aq').split('\n').length).toBe(2)
  expect(engine.must('container', 'prune', '--force')).toBe(`Deleted Containers:\n${id}\n\nTotal reclaimed space: 0B`)
  expect(engine.must('ps', '-a', '--format', '{{.Names}}')).toBe('runs')
  engine.must('rm', '-f', 'runs')
})

test('diff tells what is new, what has changed and what is gone', () => {
  shell('changes', 'echo x > /new; echo y >> /etc/passwd; rm /etc/group; mkdir /tmp/a; touch /tmp/a/b')
  engine.must('wait', 'changes')
  expect(engine.must('diff', 'changes').split('\n')).toEqual([
    'C /etc',
    'D /etc/group',
    'C /etc/passwd',
    'A /new',
    'C /tmp',
    'A /tmp/a',
    'A /tmp/a/b',
  ])
  engine.must('rm', 'changes')
})

describe('start', () => {
  test('--attach shows what it prints and has its status', () => {
    shell('again', 'echo turn; exit 4')
    engine.must('wait', 'again')
    const { status, stdout } = engine.coffer('start', '--attach', 'again')
    expect([status, stdout]).toEqual([4, 'turn\n'])
    engine.must('rm', 'again')
  })

  test('restart stops it and starts it, with another first process', () => {
    const id = shell('twice', 'sleep 1000')
    const init = (): string => readFileSync(join(engine.runRoot, id, 'init'), 'utf8').split(' ')[0] ?? ''
    const before = init()
    engine.must('restart', '-t', '0', 'twice')
    expect(init()).not.toBe(before)
    engine.must('rm', '--force', 'twice')
  })
})

describe('restart policies', () => {
  test('one that will be started again is restarting or running at any moment, and exited at last', () => {
    engine.must('run', '-d', '--name', 'flaky', '--restart', 'on-failure:3', 'busybox', 'false')
    const look = (): string => engine.must('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'flaky')
    let seen = look()
    while (!seen.startsWith('exited')) seen = look()
    expect(seen).toBe('exited 3')
    engine.must('rm', 'flaky')
  })

  /** A container that has ended, made anew with a policy. */
  function withPolicy(name: string, script: string, when: string, maxRetries = 0): string {
    const id = shell(name, 'true')
    engine.must('wait', name)
    const record = JSON.parse(readFileSync(pathOf(id, 'container.json'), 'utf8'))
    record.restart = { when, maxRetries }
    record.intent.args = ['sh', '-c', script]
    writeFileSync(pathOf(id, 'container.json'), JSON.stringify(record))
    engine.must('start', name)
    return id
  }
  const turns = (name: string): number =>
    engine
      .must('logs', name)
      .split('\n')
      .filter((line) => line === 'turn').length

  const isRestarting = (name: string): boolean => engine.must('inspect', '-f', '{{.State.Restarting}}', name) === 'true'

  test('one that fails is started again as often as it says', async () => {
    const id = withPolicy('fails', 'echo turn; exit 1', 'on-failure', 2)
    await until(id, () => turns('fails') === 3 && existsSync(pathOf(id, 'exit')) && !existsSync(pathOf(id, 'waiting')))
    expect(JSON.parse(readFileSync(pathOf(id, 'restarts'), 'utf8'))).toEqual({ count: 2, delayMs: 200 })
    engine.must('rm', 'fails')
  })

  test('one that ends well is not, on failure only', () => {
    const id = withPolicy('well', 'echo turn', 'on-failure')
    engine.must('wait', 'well')
    engine.must('stop', 'well')
    expect([turns('well'), existsSync(pathOf(id, 'restarts'))]).toEqual([1, false])
    engine.must('rm', 'well')
  })

  test('one that was stopped by hand stays stopped, also while it waits for its time', async () => {
    const id = withPolicy('loops', 'echo turn; exit 1', 'always')
    await until(id, () => turns('loops') >= 4 && isRestarting('loops'))
    engine.must('stop', 'loops')
    const count = turns('loops')
    expect(engine.must('ps', '-a', '--filter', 'name=loops', '--format', '{{.State}}')).toBe('exited')
    expect([existsSync(pathOf(id, 'waiting')), existsSync(pathOf(id, 'exit'))]).toEqual([false, true])
    expect(turns('loops')).toBe(count)
    engine.must('rm', 'loops')
  })

  test('one that waits is removed by force only', async () => {
    const id = withPolicy('waits', 'echo turn; exit 1', 'always')
    await until(id, () => turns('waits') >= 5 && isRestarting('waits'))
    expect(engine.must('ps', '--format', '{{.Names}} {{.Status}}')).toMatch(/^waits Restarting \(1\) .* ago$/)
    expect(engine.coffer('rm', 'waits').status).toBe(1)
    engine.must('rm', '--force', 'waits')
    expect(engine.must('ps', '-aq')).toBe('')
  })

  test('one that is killed by a stranger comes back', async () => {
    const id = withPolicy('stays', 'echo turn; sleep 1000', 'unless-stopped')
    await until(id, () => turns('stays') === 1)
    const pid = Number(readFileSync(join(engine.runRoot, id, 'init'), 'utf8').split(' ')[0])
    process.kill(pid, 'SIGKILL')
    await until(id, () => turns('stays') === 2)
    engine.must('rm', '--force', 'stays')
  })
})
