/** Whoever works for a container is killed at any moment: the next command finds what is there, and takes the rest away. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addFigures, printTotal } from '../crash/figures.ts'
import { LONG } from '../crash/injection.ts'
import { CALLER, childrenOf, hasEnded, kill, ROUNDS, type Victims } from '../crash/kill.ts'
import { cgroupsWith, processesOf, settles, until } from '../kernel/leaks.ts'
import { machineLines, readText } from '../kernel/machine.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
const rounds = LONG ? ROUNDS : 12

let engine: TestEngine
/** Mounts, devices and addresses of a machine without a container. */
let empty: readonly string[]
const machine = (): readonly string[] => machineLines({ word: 'no container', directory: engine.directory })
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  empty = machine()
})
afterAll(() => {
  engine[Symbol.dispose]()
  printTotal()
})

const commandOf = (pid: number): string => (readText(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ')

/** What is there although no container is: files, sockets, states, cgroups, processes, mounts, devices. */
function remains(ids: readonly string[]): readonly string[] {
  // Bridges of networks stay, and nothing of them if nobody is in their networks.
  engine.coffer('network', 'prune', '--force')
  const inside = (directory: string): readonly string[] => readdirSync(directory).map((name) => join(directory, name))
  return [
    ...inside(join(engine.dataRoot, 'containers')),
    ...inside(join(engine.dataRoot, 'names')),
    ...inside(engine.runRoot).filter((path) => !/\/\.(plans|attach|netns|last-failure)$/.test(path)),
    ...inside(join(engine.runRoot, '.netns')),
    ...inside(join(engine.runRoot, '.attach')),
    ...ids.flatMap((id) => processesOf(id).map((pid) => `process ${pid}: ${commandOf(pid)}`)),
    ...ids.flatMap((id) => cgroupsWith(id)),
    ...machine().filter((line) => !empty.includes(line)),
  ]
}

/** The kernel takes its time with devices of a namespace that is gone. */
function settled(ids: readonly string[]): readonly string[] {
  let left: readonly string[] = []
  settles(() => {
    left = remains(ids)
    return left.length === 0
  })
  return left
}

/** Removes all that is listed, as often as it takes until those who were not killed have finished. */
function rest(): readonly string[] {
  let left: readonly string[] = []
  let said = ''
  const seen = new Set<string>()
  settles(() => {
    const listed = engine.coffer('ps', '-aq', '--no-trunc')
    const ids = listed.stdout.split('\n').filter((id) => id !== '')
    for (const id of ids) seen.add(id)
    const removed = ids.length === 0 ? listed : engine.coffer('rm', '--force', ...ids)
    said = listed.stderr + removed.stderr
    left = [...remains([...seen]), ...(listed.status === 0 ? [] : [said])]
    return left.length === 0
  })
  return left.length === 0 ? [] : [...left, said]
}

const wait = (micros: number): void => {
  const begin = Bun.nanoseconds()
  while (Bun.nanoseconds() - begin < micros * 1000);
}

function startMicros(): number {
  const begin = Bun.nanoseconds()
  engine.must('run', '-d', '--name', 'measured', 'busybox', 'sleep', '1000')
  const took = (Bun.nanoseconds() - begin) / 1000
  engine.must('rm', '--force', 'measured')
  return took
}

interface Way {
  readonly name: string
  readonly victims: Victims
  /** In front of the program. */
  readonly through: readonly string[]
}

const WAYS: readonly Way[] = [
  { name: 'command', victims: (pid) => [pid], through: [] },
  { name: 'executor', victims: childrenOf, through: [] },
  { name: 'command and its executor', victims: (pid) => [pid, ...childrenOf(pid)], through: [] },
  { name: 'caller', victims: (pid) => [pid], through: CALLER },
]

for (const { name, victims, through } of WAYS)
  test(`when run loses its ${name} to SIGKILL at any moment, the name is free and nothing is left (S244, S266, S268)`, async () => {
    const longest = startMicros()
    let interrupted = 0
    for (let round = 0; round < rounds; round++) {
      const started = engine.spawnThrough(through, 'run', '-d', '--name', 'victim', 'busybox', 'sleep', '1000')
      until('somebody to kill', () => victims(started.pid).length > 0 || hasEnded(started.pid))
      wait((longest * round) / rounds)
      const children = childrenOf(started.pid)
      if (victims(started.pid).map(kill).includes(true)) interrupted++
      await started.exited
      // A caller that is killed takes nobody with it: the command goes on to its end, if it was begun.
      if (through.length > 0) until('the end of the command', () => children.every(hasEnded))
      expect([round, rest()]).toEqual([round, []])
    }
    addFigures({ command: 'run -d', kind: 'an image', way: `loses its ${name}`, points: rounds, visited: interrupted })
    expect(engine.coffer('run', '--rm', '--name', 'victim', 'busybox', 'true').status).toBe(0)
  })

const nameServers = (network: string): readonly string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => commandOf(Number(name)))
    .filter((words) => words.startsWith('coffer-resolver ') && words.includes(` ${network} `))

for (const { name, victims, through } of WAYS.slice(0, 3))
  test(`when network connect and disconnect lose their ${name}, the next ones mend it, and nothing is left (S244, S266)`, async () => {
    for (const network of ['cut', 'kept']) engine.must('network', 'create', network)
    const id = engine.must(
      'run',
      '-d',
      '--name',
      'victim',
      '--network',
      'kept',
      '-p',
      '8130:80',
      'busybox',
      'sleep',
      '1000',
    )
    const begin = Bun.nanoseconds()
    engine.must('network', 'connect', 'cut', 'victim')
    const longest = (Bun.nanoseconds() - begin) / 1000
    for (let round = 0; round < rounds; round++) {
      const words = ['network', round % 2 === 0 ? 'disconnect' : 'connect', 'cut', 'victim']
      const started = engine.spawnThrough(through, ...words)
      until('somebody to kill', () => victims(started.pid).length > 0 || hasEnded(started.pid))
      wait((longest * round) / rounds)
      victims(started.pid).map(kill)
      await started.exited
      const { stderr } = engine.coffer(...words)
      const shown = JSON.parse(engine.must('inspect', 'victim'))[0].NetworkSettings.Networks
      const shownInside = engine.must('exec', 'victim', 'ip', '-4', '-o', 'addr')
      const devices = shownInside.match(/ eth\d /g)?.length
      expect([round, stderr, Object.keys(shown).length, devices, nameServers('kept').length], shownInside).toEqual([
        round,
        expect.stringMatching(/^$|already exists in network|is not connected to/),
        round % 2 === 0 ? 1 : 2,
        round % 2 === 0 ? 1 : 2,
        1,
      ])
    }
    engine.must('rm', '--force', 'victim')
    until('the end of the name server', () => nameServers('kept').length === 0)
    for (const network of ['cut', 'kept']) engine.must('network', 'rm', network)
    expect(rest()).toEqual([])
    expect(id).not.toBe('')
  })

const monitorOf = (id: string): number | undefined =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => commandOf(pid).startsWith(`coffer-monitor ${id}`))

test('a container that has lost its monitor is seen as it is, stopped and removed (S250)', () => {
  const id = engine.must('run', '-d', '--name', 'orphan', 'busybox', 'sleep', '1000')
  const monitor = monitorOf(id)
  expect(monitor).toBeGreaterThan(0)
  kill(monitor ?? 0)
  until('the end of the monitor', () => hasEnded(monitor ?? 0))
  expect(engine.must('inspect', '--format', '{{.State.Running}}', 'orphan')).toBe('true')
  expect(engine.must('exec', 'orphan', 'echo', 'here')).toBe('here')
  engine.must('stop', '-t', '0', 'orphan')
  expect(engine.must('ps', '-a', '--format', '{{.Status}}')).toStartWith('Exited (255)')
  expect(readdirSync(engine.runRoot)).not.toContain(id)
  engine.must('start', 'orphan')
  expect(rest()).toEqual([])
})

test('one whose first process and monitor are gone together has ended, with the status of one that nobody saw', () => {
  const id = engine.must('run', '-d', '--name', 'both', 'busybox', 'sleep', '1000')
  const init = Number((readText(join(engine.runRoot, id, 'init')) ?? '').split(' ')[0])
  const monitor = monitorOf(id) ?? 0
  kill(monitor)
  kill(init)
  until('their end', () => hasEnded(init) && hasEnded(monitor))
  expect(engine.must('ps', '-a', '--format', '{{.State}} {{.Status}}')).toStartWith('exited Exited (255)')
  expect(readdirSync(engine.runRoot)).not.toContain(id)
  expect(rest()).toEqual([])
})

test('when a container loses its monitor and cleaner at any moment behind its end, nothing is left (S249, S250)', async () => {
  let interrupted = 0
  for (let round = 0; round < rounds; round++) {
    const options = round % 2 === 0 ? ['--rm'] : []
    const id = engine.must('run', '-d', ...options, 'busybox', 'sleep', '1000')
    const monitor = monitorOf(id) ?? 0
    const init = Number((readText(join(engine.runRoot, id, 'init')) ?? '').split(' ')[0])
    kill(init)
    // The cleaner is the same process under another name: execve(2).
    wait((round % 24) * 500)
    if (kill(monitor)) interrupted++
    until('their end', () => hasEnded(monitor) && hasEnded(init))
    expect(engine.must('ps', '--quiet')).toBe('')
    const expected = round % 2 === 0 ? '' : id.slice(0, 12)
    let listed = ''
    // A child of who was killed may be about to become the executor, with the lock of its parent until then.
    settles(() => {
      listed = engine.must('ps', '-aq')
      return listed === expected
    })
    expect([round, listed, rest()]).toEqual([round, expected, []])
  }
  addFigures({
    command: 'the end',
    kind: 'an image',
    way: 'loses its monitor or cleaner',
    points: rounds,
    visited: interrupted,
  })
})

test('stale names and half-made directories go with the next look', () => {
  const id = 'ab'.repeat(32)
  symlinkSync(id, join(engine.dataRoot, 'names', 'stale'))
  mkdirSync(join(engine.dataRoot, 'containers', id))
  writeFileSync(join(engine.dataRoot, 'containers', id, 'container.json.new'), '{')
  expect(engine.must('ps', '-aq')).toBe('')
  expect(remains([id])).toEqual([])
})

test('a record that is damaged hides no other container, and is removed by force (S255, S270)', () => {
  const damaged = engine.must('run', '-d', '--name', 'damaged', 'busybox', 'true')
  engine.must('wait', 'damaged')
  engine.must('run', '-d', '--name', 'sound', 'busybox', 'sleep', '1000')
  const path = join(engine.dataRoot, 'containers', damaged, 'container.json')
  const text = readFileSync(path, 'utf8')
  for (const broken of ['', text.slice(0, 20), text.slice(0, -1), '[]', 'null', '{"version":1}']) {
    writeFileSync(path, broken)
    const { status, stdout, stderr } = engine.coffer('ps', '-a', '--format', '{{.Names}}')
    expect([status, stdout, stderr]).toEqual([0, 'sound\n', expect.stringContaining(damaged)])
    expect(engine.coffer('inspect', damaged).status).toBe(1)
  }
  engine.must('rm', '--force', damaged)
  engine.must('rm', '--force', 'sound')
  expect(settled([damaged])).toEqual([])
})

test('a full disk loses nothing that was there (S134, S271)', () => {
  const small = join(engine.directory, 'small')
  mkdirSync(small)
  Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small])
  try {
    using full = openTestEngine({ COFFER_DATA_ROOT: join(small, 'data') })
    full.must('import', busyboxArchive(full.directory), 'busybox')
    const id = full.must('run', '-d', '--name', 'before', 'busybox', 'sh', '-c', 'echo kept; sleep 1000')
    until('its words', () => full.must('logs', 'before') === 'kept')
    Bun.spawnSync(['dd', 'if=/dev/zero', `of=${small}/fill`, 'bs=4096'])
    expect(statfsSync(small).bavail).toBe(0)
    const { status, stderr } = full.coffer('run', '-d', '--name', 'during', 'busybox', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('ENOSPC')])
    expect(full.must('ps', '-a', '--format', '{{.Names}} {{.State}}')).toBe('before running')
    expect(full.must('logs', 'before')).toBe('kept')
    full.must('stop', '-t', '0', 'before')
    expect(full.must('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'before')).toBe('exited 137')
    expect(full.must('ps', '-aq', '--no-trunc')).toBe(id)
    Bun.spawnSync(['rm', `${small}/fill`])
    full.must('start', 'before')
    expect(full.must('run', '--rm', 'busybox', 'echo', 'well')).toBe('well')
    full.must('rm', '-f', 'before')
  } finally {
    Bun.spawnSync(['umount', small])
    rmdirSync(small)
  }
})
