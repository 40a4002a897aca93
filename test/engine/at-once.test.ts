/** Commands that are about one thing at the same time, and what one of them leaves that is killed between two files. */

import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { childrenOf, hasEnded, kill } from '../crash/kill.ts'
import { until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { busyboxArchive, openTestEngine, type Ran, type TestEngine } from './engine.ts'

setDefaultTimeout(120_000)

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())
afterEach(() => {
  // What a test that failed has left shall not fail others.
  for (const id of engine.must('ps', '-aq').split('\n').filter(Boolean)) engine.coffer('rm', '-f', id)
  engine.must('network', 'prune', '-f')
})

async function run(...words: readonly string[]): Promise<Ran> {
  const started = engine.spawn(...words)
  const [stdout, stderr] = await Promise.all([started.stdout, started.stderr].map((one) => new Response(one).text()))
  return { status: await started.exited, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** Each list one after another, the lists at once; what failed. */
async function atOnce(...lists: readonly (readonly (readonly string[])[])[]): Promise<readonly string[]> {
  const failed: string[] = []
  const oneByOne = async (list: readonly (readonly string[])[]): Promise<void> => {
    for (const words of list) {
      const { status, stderr } = await run(...words)
      if (status !== 0) failed.push(`${words.join(' ')}: ${stderr}`)
    }
  }
  await Promise.all(lists.map(oneByOne))
  return failed
}

const times = <Value>(count: number, each: (round: number) => Value): readonly Value[] =>
  Array.from({ length: count }, (_, round) => each(round))
const inData = (...path: readonly string[]): string => join(engine.dataRoot, ...path)
const inspected = (text: string, format: string): string => engine.must('inspect', '-f', format, text)
const durationOf = (...words: readonly string[]): number => {
  const begin = Bun.nanoseconds()
  engine.must(...words)
  return (Bun.nanoseconds() - begin) / 1000
}

/** Kills the command, and what it has started, in this part of its duration. */
async function interrupt(micros: number, ...words: readonly string[]): Promise<void> {
  const begin = Bun.nanoseconds()
  const started = engine.spawn(...words)
  while (Bun.nanoseconds() - begin < micros * 1000);
  const children = childrenOf(started.pid)
  kill(started.pid)
  await started.exited
  until('the end of its executor', () => children.every(hasEnded))
}

/** What an executor becomes. */
const isMonitor = (pid: number): boolean => (readText(`/proc/${pid}/cmdline`) ?? '').startsWith('coffer-monitor')

const ROUNDS = 12

test('a port that a killed start took is free for the next start of the same container, and held by none', () => {
  const id = engine.must('create', '--name', 'again', '-p', '8140:80', 'busybox', 'sleep', '1000')
  engine.must('network', 'ls')
  mkdirSync(inData('networks', '.ports', 'tcp-8140'), { recursive: true })
  symlinkSync(id, inData('networks', '.ports', 'tcp-8140', 'any'))
  engine.must('start', 'again')
  expect(engine.must('port', 'again')).toContain('8140')
  expect(engine.coffer('run', '--rm', '-p', '8140:80', 'busybox', 'true').stderr).toContain('already allocated')
  engine.must('rm', '-f', 'again')
  expect(readdirSync(inData('networks', '.ports'))).toEqual([])
})

test('when update loses its command at any moment, the same words again make its ports those that were asked for', async () => {
  engine.must('run', '-d', '--name', 'ports', '-p', '8141:80', 'busybox', 'sleep', '1000')
  const add = ['update', '--publish-add', '8142:81', 'ports']
  const remove = ['update', '--publish-rm', '8142:81', 'ports']
  const longest = durationOf(...add)
  for (let round = 0; round < ROUNDS; round++) {
    const words = round % 2 === 0 ? remove : add
    await interrupt((longest * (round + 1)) / ROUNDS, ...words)
    const { stderr } = engine.coffer(...words)
    const shown = engine
      .must('port', 'ports')
      .split('\n')
      .filter((line) => line.includes('0.0.0.0'))
    expect([round, stderr, shown.length, readdirSync(inData('networks', '.ports')).length]).toEqual([
      round,
      expect.stringMatching(/^$|does not publish/),
      round % 2 === 0 ? 1 : 2,
      round % 2 === 0 ? 1 : 2,
    ])
  }
  engine.must('rm', '-f', 'ports')
  expect(readdirSync(inData('networks', '.ports'))).toEqual([])
})

test('ports between a container and its connection that a killed update left are put right by the next one', () => {
  const id = engine.must('run', '-d', '--name', 'halves', '-p', '8143:80', 'busybox', 'sleep', '1000')
  const path = inData('containers', id, 'network.json')
  const connection = JSON.parse(readText(path) ?? '')
  // It has a port that nobody asks for, and lacks the one that is asked for.
  symlinkSync(id, inData('networks', '.ports', 'tcp-8143', '7f000001'))
  writeFileSync(path, JSON.stringify({ ...connection, ports: [{ hostPort: 8144, port: 81, protocol: 'tcp' }] }))
  engine.must('update', '--publish-add', '8143:80', 'halves')
  expect(engine.must('port', 'halves').split('\n')[0]).toBe('80/tcp -> 0.0.0.0:8143')
  expect(engine.must('port', 'halves')).not.toContain('8144')
  engine.must('rm', '-f', 'halves')
  expect(readdirSync(inData('networks', '.ports')).filter((name) => name !== 'tcp-8143')).toEqual([])
})

const namesIn = (network: string): readonly string[] => readdirSync(inData('networks', network, 'names')).sort()
const labelsIn = (network: string): readonly string[] =>
  readdirSync(inData('networks', network, 'leases')).map(
    (name) => readlinkSync(inData('networks', network, 'leases', name)).split(' ')[1] ?? '',
  )

test('when rename loses its command at any moment, others find the container by the name that it has', async () => {
  engine.must('network', 'create', 'named')
  const id = engine.must('run', '-d', '--name', 'first', '--network', 'named', 'busybox', 'sleep', '1000')
  const longest = durationOf('rename', 'first', 'second')
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const wanted = round % 2 === 0 ? 'first' : 'second'
    await interrupt((longest * (round + 1)) / (2 * ROUNDS), 'rename', id, wanted)
    const shown = engine.must('ps', '--format', '{{.Names}}')
    expect([round, namesIn('named'), labelsIn('named')]).toEqual([round, [id.slice(0, 12), shown].sort(), [shown]])
    if (shown !== wanted) engine.must('rename', id, wanted)
  }
  engine.must('rm', '-f', id)
  // A name before that it had still leads nowhere now.
  engine.must('ps')
  expect([namesIn('named'), labelsIn('named'), readdirSync(inData('names'))]).toEqual([[], [], []])
  engine.must('network', 'rm', 'named')
})

test('names that a killed rename left in a network are put right by the next look', () => {
  engine.must('network', 'create', 'named')
  const id = engine.must('run', '-d', '--name', 'late', '--network', 'named', 'busybox', 'sleep', '1000')
  const path = inData('containers', id, 'container.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readText(path) ?? ''), name: 'later' }))
  symlinkSync(id, inData('names', 'later'))
  expect(engine.must('ps', '--format', '{{.Names}}')).toBe('later')
  expect([namesIn('named'), labelsIn('named')]).toEqual([[id.slice(0, 12), 'later'].sort(), ['later']])
  engine.must('rm', '-f', id)
  engine.must('ps')
  expect(readdirSync(inData('names'))).toEqual([])
  engine.must('network', 'rm', 'named')
})

test('a container that is renamed, connected, updated and started at once keeps what each asked for (S227)', async () => {
  for (const network of ['here', 'there']) engine.must('network', 'create', network)
  for (let round = 0; round < 4; round++) {
    const id = engine.must('run', '-d', '--name', 'a0', '--network', 'here', 'busybox', 'sleep', '1000')
    const failed = await atOnce(
      times(6, (at) => ['rename', id, `a${at + 1}`]),
      [
        ['network', 'connect', 'there', id],
        ['network', 'disconnect', 'there', id],
        ['network', 'connect', 'there', id],
      ],
      [['update', '--restart', 'on-failure:3', id]],
      [['restart', '-t', '0', id]],
    )
    expect([round, failed]).toEqual([round, []])
    const shown = inspected(id, '{{.Name}} {{.HostConfig.RestartPolicy.Name}} {{len .NetworkSettings.Networks}}')
    expect([round, shown]).toEqual([round, '/a6 on-failure 2'])
    for (const network of ['here', 'there'])
      expect([round, network, namesIn(network), labelsIn(network)]).toEqual([
        round,
        network,
        [id.slice(0, 12), 'a6'].sort(),
        ['a6'],
      ])
    engine.must('rm', '-f', id)
    expect([namesIn('here'), namesIn('there'), readdirSync(inData('names'))]).toEqual([[], [], []])
  }
  for (const network of ['here', 'there']) engine.must('network', 'rm', network)
})

for (const name of ['start', 'stop', 'restart'])
  test(`when ${name} loses its command and executor at any moment, the container starts again, with all that it had`, async () => {
    engine.must('network', 'create', 'kept')
    const id = engine.must('create', '--network', 'kept', '-p', '8145:80', 'busybox', 'sleep', '1000')
    const words = name === 'start' ? ['start', id] : [name, '-t', '0', id]
    engine.must('start', id)
    const longest = durationOf('restart', '-t', '0', id)
    for (let round = 0; round < ROUNDS; round++) {
      if (name === 'start') engine.must('stop', '-t', '0', id)
      const started = engine.spawn(...words)
      const begin = Bun.nanoseconds()
      while (Bun.nanoseconds() - begin < ((longest * (round + 1)) / ROUNDS) * 1000);
      const victims = [started.pid, ...childrenOf(started.pid)]
      for (const pid of round % 3 === 2 ? victims.slice(1) : victims.slice(0, 1 + (round % 3) * 9)) kill(pid)
      await started.exited
      until('the end of its executor', () => victims.every((pid) => hasEnded(pid) || isMonitor(pid)))
      // The signal may be on its way still.
      if (name !== 'start') engine.must('stop', '-t', '0', id)
      const began = engine.coffer('start', id)
      expect([round, began.stderr, engine.coffer('exec', id, 'true').stderr]).toEqual([round, '', ''])
      expect([round, namesIn('kept').length, engine.must('port', id)]).toEqual([
        round,
        2,
        expect.stringContaining('8145'),
      ])
    }
    engine.must('rm', '-f', id)
    expect([namesIn('kept'), readdirSync(inData('networks', '.ports'))]).toEqual([[], []])
    engine.must('network', 'rm', 'kept')
  })

test('of several who change one container at once each changes what it asks for, and no more (S227)', async () => {
  const id = engine.must('create', '--network', 'none', 'busybox', 'true')
  for (let round = 0; round < 4; round++) {
    const failed = await atOnce(
      [['update', '--memory', `${64 + round}m`, id]],
      [['update', '--cpu-shares', `${100 + round}`, id]],
      [['update', '--pids-limit', `${50 + round}`, id]],
      [['update', '--restart', `on-failure:${round + 1}`, id]],
    )
    const { HostConfig } = JSON.parse(engine.must('inspect', id))[0]
    const { Memory, CpuShares, PidsLimit, RestartPolicy } = HostConfig
    expect([failed, Memory, CpuShares, PidsLimit, RestartPolicy.MaximumRetryCount]).toEqual([
      [],
      (64 + round) << 20,
      100 + round,
      50 + round,
      round + 1,
    ])
  }
})

test('a container that is renamed and removed at once is gone', async () => {
  for (let round = 0; round < 6; round++) {
    const id = engine.must('create', '--name', 'short', 'busybox', 'true')
    await atOnce([['rename', 'short', 'long']], [['rm', id]], [['update', '--memory', '64m', id]])
    expect([round, engine.must('ps', '-aq'), readdirSync(inData('names'))]).toEqual([round, '', []])
  }
})

test('a network that is removed while a container starts in it is gone, or has the container', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    engine.must('network', 'create', 'going')
    let isStarting = true
    const remover = async (): Promise<void> => {
      while (isStarting) await run('network', 'rm', 'going')
    }
    const removers = [remover(), remover()]
    const { status, stderr } = await run('run', '-d', '--name', 'in', '--network', 'going', 'busybox', 'sleep', '1000')
    isStarting = false
    await Promise.all(removers)
    const isThere = engine.coffer('network', 'inspect', 'going').status === 0
    expect([round, isThere, stderr]).toEqual([
      round,
      status === 0,
      expect.stringMatching(status === 0 ? /^$/ : /network going not found/),
    ])
    engine.coffer('rm', '-f', 'in')
    engine.coffer('network', 'rm', 'going')
  }
  expect(readdirSync(inData('networks')).filter((name) => name === 'going')).toEqual([])
})

test('a list of containers fails for none that comes and goes meanwhile, and takes none away', async () => {
  const failed = await atOnce(
    times(10, () => ['run', '--rm', '--network', 'none', 'busybox', 'true']),
    times(10, () => ['run', '--rm', '--network', 'none', 'busybox', 'true']),
    times(40, () => ['ps', '-a']),
    times(40, () => ['ps', '-a']),
  )
  expect(failed).toEqual([])
})

test('what a container ended with is what is shown, from when it is shown as ended', async () => {
  for (let round = 0; round < 8; round++) {
    const id = engine.must('run', '-d', '--network', 'none', 'busybox', 'sh', '-c', 'exit 7')
    const shown = until('its end', () => /^exited .*/.exec(inspected(id, '{{.State.Status}} {{.State.ExitCode}}'))?.[0])
    expect([round, shown]).toEqual([round, 'exited 7'])
    engine.must('rm', id)
  }
})

test('of several who start, signal, stop or remove one container at once each gets what it wants', async () => {
  for (let round = 0; round < 3; round++) {
    const words = ['--name', 'one', '--network', 'none', '--restart', 'always', 'busybox', 'sleep', '1000']
    engine.must('create', ...words)
    const since = Math.floor(Date.now() / 1000) - 1
    expect([round, await atOnce(...times(4, () => [['start', 'one']]))]).toEqual([round, []])
    const events = engine.must(
      ...['events', '--since', `${since}`, '--until', `${Math.ceil(Date.now() / 1000)}`, '--filter', 'event=start'],
      ...['--filter', `container=${inspected('one', '{{.Id}}')}`],
    )
    expect([round, events.split('\n').length]).toEqual([round, 1])
    expect([round, await atOnce(...times(5, () => [['kill', '-s', 'WINCH', 'one']]))]).toEqual([round, []])
    expect([round, await atOnce(...times(4, () => [['stop', '-t', '0', 'one']]))]).toEqual([round, []])
    expect([round, inspected('one', '{{.State.Status}}')]).toEqual([round, 'exited'])
    expect([round, await atOnce(...times(4, () => [['rm', '-f', 'one']]))]).toEqual([round, []])
    expect([round, engine.must('ps', '-aq')]).toEqual([round, ''])
  }
})

test('who has waited for the pause of another command has one that is mended as well', async () => {
  const words = ['--network', 'none', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/f bs=1M count=64; exec sleep 1000']
  const id = engine.must('run', '-d', '--name', 'still', ...words)
  until('its file', () => engine.coffer('exec', 'still', 'stat', '-c', '%s', '/f').stdout.trim() === `${64 << 20}`)
  const note = inData('containers', id, 'pausing')
  const first = Bun.spawn(['flock', note, 'sh', '-c', `echo; read x; rm ${note}`], { stdin: 'pipe', stdout: 'pipe' })
  await first.stdout.getReader().read()
  const commits = [engine.spawn('commit', 'still'), engine.spawn('commit', 'still')]
  until('one that waits', () => isWaitedFor(note))
  first.stdin.write('\n')
  first.stdin.end()
  until('the pause', () => inspected(id, '{{.State.Status}}') === 'paused')
  expect(existsSync(note)).toBe(true)
  expect(await Promise.all(commits.map((one) => one.exited))).toEqual([0, 0])
  expect([inspected(id, '{{.State.Status}}'), existsSync(note)]).toEqual(['running', false])
  engine.must('rm', '-f', id)
  engine.must('image', 'prune', '-f')
})

/** proc_locks(5): lines of those who wait have an arrow. */
const isWaitedFor = (path: string): boolean =>
  (readText('/proc/locks') ?? '')
    .split('\n')
    .some((line) => line.includes(`->`) && line.includes(`:${statSync(path).ino} `))

test('a volume that several make at once is one, and what a killed command left of one goes with the next', async () => {
  expect(await atOnce(...times(8, () => [['volume', 'create', 'same']]))).toEqual([])
  mkdirSync(inData('volumes', '.new', '_data'), { recursive: true })
  engine.must('volume', 'create', 'other')
  expect(readdirSync(inData('volumes')).sort()).toEqual(['other', 'same'])
  engine.must('volume', 'rm', 'same', 'other')
})

test('a layer that is there is all of it, whenever the command that removes it is killed', async () => {
  const root = join(engine.directory, 'many')
  mkdirSync(root)
  for (let file = 0; file < 400; file++) writeFileSync(join(root, `${file}`), '')
  Bun.spawnSync(['tar', '-C', root, '-cf', `${root}.tar`, '.'])
  for (let round = 0; round < 2; round++) {
    engine.must('import', `${root}.tar`, 'many')
    const [layer = ''] = inspectedImage('many', '{{.GraphDriver.Data.LowerDir}}').split(':')
    const removal = engine.spawn('rmi', 'many')
    until('the layer to go', () => !existsSync(layer) || readdirSync(layer).length < 400)
    kill(removal.pid)
    await removal.exited
    engine.must('import', `${root}.tar`, 'many')
    expect([round, readdirSync(layer).length]).toEqual([round, 400])
    engine.must('rmi', 'many')
  }
  expect(readdirSync(inData('incoming'))).toEqual([])
})

const inspectedImage = (name: string, format: string): string => engine.must('image', 'inspect', '-f', format, name)

test('images that are named, listed, used and removed at once stay whole, and so does what is made of them (S227)', async () => {
  const root = join(engine.directory, 'other')
  mkdirSync(root)
  writeFileSync(join(root, 'file'), '')
  Bun.spawnSync(['tar', '-C', root, '-cf', `${root}.tar`, '.'])
  for (let round = 0; round < 4; round++) {
    engine.must('import', `${root}.tar`, 'given')
    // None of these has to succeed.
    const attempts = times(4, (at) =>
      Promise.all([
        run('tag', 'given', `given:${at}`),
        run('create', '--name', `user${at}`, '--network', 'none', 'given', 'true'),
        run('rmi', `given:${at}`),
      ]),
    )
    const lists = atOnce(
      times(12, () => ['images']),
      times(12, () => ['info']),
    )
    const removed = run('rmi', 'given')
    await Promise.all(attempts)
    await removed
    expect([round, await lists]).toEqual([round, []])
    for (const user of engine.must('ps', '-a', '--format', '{{.Names}}').split('\n').filter(Boolean)) {
      expect([round, user, engine.coffer('commit', user).status]).toEqual([round, user, 0])
      engine.must('rm', user)
    }
    engine.must('image', 'prune', '-a', '-f')
    engine.must('import', join(engine.directory, 'busybox.tar'), 'busybox')
  }
})
