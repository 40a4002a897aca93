/** events: who does something tells of it, and who follows hears it. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPENAT } from '../crash/injection.ts'
import { injector } from '../kernel/programs.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

const PROGRAM = join(import.meta.dir, '..', '..', 'dist', 'coffer')

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const file = (): string => join(engine.dataRoot, 'events')
const FORMAT = '{{.Type}} {{.Action}}'
/** What has happened since the last call. */
function told(...words: readonly string[]): readonly string[] {
  const text = engine.must('events', '--since', '1970-01-01', '--until', '0s', '--format', FORMAT, ...words)
  truncateSync(file())
  return text === '' ? [] : text.split('\n')
}
const detached = (...words: readonly string[]): string => engine.must('run', '-d', '--network', 'none', ...words)

test('the life of a container is told in the order in which it is lived', () => {
  told()
  detached('--name', 'lives', '--label', 'tier=front', 'busybox', 'sleep', '1000')
  engine.must('exec', 'lives', 'true')
  engine.must('pause', 'lives')
  engine.must('unpause', 'lives')
  engine.must('rename', 'lives', 'renamed')
  engine.must('update', '--memory', '64m', 'renamed')
  engine.must('cp', 'renamed:/etc/passwd', '-')
  engine.must('kill', '--signal', 'USR1', 'renamed')
  engine.must('restart', '-t', '0', 'renamed')
  engine.must('stop', '-t', '0', 'renamed')
  engine.must('rm', 'renamed')
  const life = ['container kill', 'container kill', 'container die', 'container stop']
  expect(told()).toEqual(
    [
      ...['create', 'start', 'exec_create: true', 'exec_start: true', 'exec_die', 'pause', 'unpause', 'rename'],
      ...['update', 'archive-path', 'kill'],
    ]
      .map((action) => `container ${action}`)
      .concat(life, ['container start', 'container restart'], life, ['container destroy']),
  )
})

test('attributes say how: labels, exit status, signal, the name before; also of one that removes itself', () => {
  engine.coffer(
    'run',
    '--rm',
    '--network',
    'none',
    '--name',
    'short',
    '--label',
    'tier=front',
    'busybox',
    'sh',
    '-c',
    'exit 3',
  )
  const messages = engine
    .must('events', '--since', '1h', '--until', '0s', '--filter', 'container=short', '--format', 'json')
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(messages.map(({ Action }) => Action)).toEqual(['create', 'attach', 'start', 'die', 'destroy'])
  const { id } = messages[0]
  expect(messages[3]).toMatchObject({
    status: 'die',
    id,
    from: 'busybox',
    Type: 'container',
    Actor: { ID: id, Attributes: { exitCode: '3', execDuration: '0', image: 'busybox', name: 'short', tier: 'front' } },
    scope: 'local',
  })
  expect(messages[3].timeNano).toBeGreaterThanOrEqual(messages[2].timeNano)
  expect(
    engine.must('events', '--since', '1h', '--until', '0s', '--filter', 'event=die', '--filter', 'label=tier'),
  ).toMatch(
    new RegExp(
      `^\\d{4}-.*Z container die ${id} \\(execDuration=0, exitCode=3, image=busybox, name=short, tier=front\\)$`,
    ),
  )
})

test('one that is killed, and what ran out of memory, are told', () => {
  told()
  detached('--name', 'gone', 'busybox', 'sleep', '1000')
  engine.must('rm', '--force', 'gone')
  expect(told()).toEqual(['create', 'start', 'kill', 'die', 'destroy'].map((action) => `container ${action}`))
  detached('--name', 'greedy', '--memory', '16m', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M')
  engine.must('wait', 'greedy')
  engine.must('rm', 'greedy')
  expect(told()).toEqual(['create', 'start', 'oom', 'die', 'destroy'].map((action) => `container ${action}`))
})

test('images, volumes and networks are told', () => {
  told()
  engine.must('tag', 'busybox', 'other')
  engine.must('rmi', 'other')
  engine.must('volume', 'create', 'some')
  engine.must('volume', 'rm', 'some')
  engine.must('save', '-o', join(engine.directory, 'saved.tar'), 'busybox')
  engine.must('load', '-i', join(engine.directory, 'saved.tar'))
  expect(told()).toEqual(['image tag', 'image untag', 'volume create', 'volume destroy', 'image save', 'image load'])
  engine.must('run', '--rm', '--name', 'connected', 'busybox', 'true')
  expect(told('--filter', 'type=network')).toEqual(['network connect', 'network disconnect'])
  engine.must('network', 'create', 'mesh')
  engine.must('create', '--name', 'later', 'busybox', 'true')
  engine.must('network', 'connect', 'mesh', 'later')
  engine.must('network', 'disconnect', 'mesh', 'later')
  engine.must('network', 'rm', 'mesh')
  engine.must('rm', 'later')
  expect(told('--filter', 'type=network')).toEqual(
    ['create', 'connect', 'disconnect', 'destroy'].map((action) => `network ${action}`),
  )
})

test('a change of health is told, and what does not change is not', async () => {
  const checked = ['--health-cmd', '[ ! -e /tmp/sick ]', '--health-interval', '50ms', '--health-retries', '1']
  const id = detached(...checked, 'busybox', 'sleep', '1000')
  const filters = ['--filter', 'event=health_status', '--filter', `container=${id}`]
  const following = engine.spawn('events', '--since', '1h', ...filters, '--format', '{{.Action}}')
  const reader = following.stdout.getReader()
  const next = async (): Promise<string> => Buffer.from((await reader.read()).value ?? []).toString()
  expect(await next()).toBe('health_status: healthy\n')
  engine.must('exec', id, 'touch', '/tmp/sick')
  expect(await next()).toBe('health_status: unhealthy\n')
  following.kill()
  await following.exited
  engine.must('rm', '--force', id)
})

test('who follows hears of what happens, the files that are turned away included, and of nothing before', async () => {
  const following = engine.spawn(
    'events',
    '--filter',
    'event=create',
    '--filter',
    'type=volume',
    '--format',
    '{{.Actor.ID}}',
  )
  const reader = following.stdout.getReader()
  let heard = ''
  // It hears only from when it has begun: so volumes are made until it says the first.
  const first = (async () => {
    for (let count = 0; heard === ''; count++) {
      engine.must('volume', 'create', `before-${count}`)
      await Bun.sleep(20)
    }
  })()
  heard = Buffer.from((await reader.read()).value ?? []).toString()
  await first
  writeFileSync(file(), `${readFileSync(file(), 'utf8')}${`${' '.repeat(1023)}\n`.repeat(1024)}`)
  engine.must('volume', 'create', 'turning')
  expect(existsSync(`${file()}.1`)).toBe(true)
  engine.must('volume', 'create', 'behind')
  expect(statSync(file()).size).toBeLessThan(1000)
  while (!heard.includes('behind')) heard += Buffer.from((await reader.read()).value ?? []).toString()
  expect(heard).toMatch(/turning\nbehind\n$/)
  following.kill()
  await following.exited
  expect(engine.must('events', '--since', '1h', '--until', '0s', '--filter', 'volume=turning')).toContain(
    'volume create turning',
  )
})

describe('of several who find the file large', () => {
  const format = '{{.Actor.Attributes.name}}'
  const tagged = (): readonly string[] =>
    engine
      .must('events', '--since', '1970-01-01', '--until', '0s', '--filter', 'event=tag', '--format', format)
      .split('\n')
      .sort()
  /** One line more makes it too large. */
  const grow = (): void => {
    rmSync(`${file()}.1`, { force: true })
    writeFileSync(file(), '')
    engine.must('tag', 'busybox', 'before')
    appendFileSync(file(), `${' '.repeat(1023)}\n`.repeat(1024))
  }
  const calls = join(tmpdir(), `coffer-calls-${process.pid}`)
  afterAll(() => rmSync(calls, { force: true }))
  const tagThrough = async (...words: readonly string[]): Promise<void> => {
    const child = engine.spawnThrough([injector(), calls, ...words, '--'], 'tag', 'busybox', 'first')
    expect([await new Response(child.stderr).text(), await child.exited]).toEqual(['', 0])
  }

  test('one turns it away, and nothing that was told is lost', async () => {
    grow()
    await tagThrough('list')
    const points = readFileSync(calls, 'utf8').trimEnd().split('\n')
    const opens = points.findLastIndex((point) => point.endsWith(` ${OPENAT}`))
    const others = `do=${PROGRAM} tag busybox second && ${PROGRAM} tag busybox third`
    for (const point of points.slice(opens)) {
      const [role = '', index = ''] = point.split(' ')
      grow()
      await tagThrough('at', role, index, others)
      const names = ['before', 'first', 'second', 'third'].map((name) => `${name}:latest`)
      expect({ point, tagged: tagged() }).toEqual({ point, tagged: names })
      expect(existsSync(`${file()}.1`)).toBe(true)
    }
  })
})

test('a file that grows by what is told of images that move is turned away as well', () => {
  writeFileSync(file(), `${' '.repeat(1023)}\n`.repeat(1025))
  engine.must('save', '-o', join(engine.directory, 'moved.tar'), 'busybox')
  expect(statSync(file()).size).toBeLessThan(1000)
  expect(told()).toEqual(['image save'])
})

test('an event longer than any buffer is told, and what comes behind it', () => {
  told()
  const labels = ['a', 'b'].flatMap((name) => ['--label', `${name}=${'x'.repeat(50_000)}`])
  engine.must('create', '--network', 'none', '--name', 'long', ...labels, 'busybox', 'true')
  engine.must('rm', 'long')
  expect(told()).toEqual(['container create', 'container destroy'])
})

test('what is torn is left out, and what no filter is, is an error', () => {
  writeFileSync(file(), '{"status":"star')
  engine.must('volume', 'create', 'torn')
  engine.must('volume', 'create', 'whole')
  expect(told('--filter', 'volume=torn', '--filter', 'volume=whole')).toEqual(['volume create'])
  expect(engine.coffer('events', '--filter', 'colour=red', '--until', '0s').stderr).toContain(
    'there is no filter "colour"',
  )
  expect(engine.coffer('events', '--since', 'soon').status).toBe(125)
})
