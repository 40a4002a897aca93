/** Commands that change what is there are killed before one of their system calls: the next ones go on from there, and nothing is left. */

import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addFigures, printTotal } from '../crash/figures.ts'
import { LONG, sample } from '../crash/injection.ts'
import { settles } from '../kernel/leaks.ts'
import { machineLines } from '../kernel/machine.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { callsOf, killedAt } from './held.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
const FEW = 8

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  writeFileSync(file(), 'some words\n')
  must('volume create kept')
  must('run --rm -p 8131:80 -v kept:/data busybox touch /data/file')
})
afterAll(() => {
  engine[Symbol.dispose]()
  printTotal()
})

/** What a test that has failed left. */
afterEach(() => {
  for (const name of names()) must(`rm -f -v ${name}`)
  for (const name of lines('volume ls -q')) if (name !== 'kept') must(`volume rm ${name}`)
})

const must = (words: string): string => engine.must(...words.split(' '))
const file = (): string => join(engine.directory, 'file')
const lines = (words: string): readonly string[] =>
  must(words)
    .split('\n')
    .filter((line) => line !== '')
const names = (): readonly string[] => lines('ps -a --format {{.Names}}')

const below = (directory: string): readonly string[] =>
  (readdirSync(directory, { recursive: true }) as string[]).map((path) => join(directory, path))

/** Files, but for what is kept on purpose, and what the kernel has. */
function present(): readonly string[] {
  // Takes away bridges, which stay.
  must('network prune --force')
  return [
    ...['containers', 'names', 'volumes', 'networks', 'images'].flatMap((name) => below(join(engine.dataRoot, name))),
    ...readdirSync(engine.dataRoot).filter((name) => name !== 'events.1'),
    ...readdirSync(join(engine.dataRoot, 'layers')),
    ...below(engine.runRoot).filter((path) => !/\/\.(plans|last-failure)(\/|$)/.test(path)),
    ...machineLines({ word: 'no container', directory: engine.directory }),
  ].sort()
}

interface Case {
  /** Where the command alone does not say it. */
  readonly name?: string
  readonly before?: readonly string[]
  readonly command: string
  /** Commands as anyone would give behind it; they take away what `before` and the command have made. */
  readonly after: () => void
  /** How many calls a short run visits. */
  readonly few?: number
}

const each = (...commands: readonly string[]): void => commands.forEach(must)
const volumes = (): readonly string[] => lines('volume ls -q').filter((name) => name !== 'kept')

/** Removes the container, whether it is there or not, which has one of these names. */
function gone(...some: readonly string[]): void {
  const left = names().filter((name) => some.includes(name))
  expect(left.length).toBeLessThan(2)
  for (const name of left) must(`rm -f -v ${name}`)
}

function dropNetwork(name: string): void {
  if (lines('network ls --format {{.Name}}').includes(name)) must(`network rm ${name}`)
}

const RUNNING = 'run -d --name victim busybox sleep 1000'
const lookAndRemove = (): void => {
  must('ps')
  gone('victim')
}

const CASES: readonly Case[] = [
  {
    before: ['create --name victim -v /data -v /more -v kept:/kept busybox true'],
    command: 'rm -v victim',
    few: 40,
    after: () => {
      if (!names().includes('victim')) expect(volumes()).toEqual([])
      gone('victim')
    },
  },
  {
    before: [
      'create --name lender -v /data busybox true',
      'create --name victim --volumes-from lender -v /more busybox true',
    ],
    command: 'rm -v victim',
    name: 'rm -v of one that borrows',
    few: 24,
    after: () => {
      gone('victim')
      expect(volumes().length).toBe(1)
      gone('lender')
    },
  },
  {
    before: ['create --name victim -v /data busybox true'],
    command: 'rm victim',
    few: 24,
    after: () => {
      if (names().includes('victim')) must('rm victim')
      const left = volumes()
      expect(left.length).toBe(1)
      must(`volume rm ${left}`)
    },
  },
  {
    before: ['run -d --name victim -v /data busybox sleep 1000'],
    command: 'rm -f -v victim',
    after: () => gone('victim'),
  },
  {
    command: 'create --name victim -v /bin -v /more -v kept:/kept -v new:/etc busybox true',
    few: 24,
    after: () => {
      const isThere = names().includes('victim')
      expect(volumes().filter((name) => name !== 'new').length).toBe(isThere ? 2 : 0)
      gone('victim')
      each('run --rm --network none -v new:/other busybox ls /other', 'volume rm new')
    },
  },
  { command: 'run --rm --name victim -v /bin -v kept:/kept busybox true', after: () => gone('victim') },
  { command: 'run -d --name victim -p 8133:80 busybox sleep 1000', after: lookAndRemove },
  { command: 'volume create new', few: 24, after: () => each('volume create new', 'volume rm new') },
  {
    before: ['create --name victim -v new:/etc busybox true', 'rm victim'],
    command: 'volume rm new',
    few: 24,
    after: () => each('volume ls', 'volume rm -f new'),
  },
  {
    before: ['volume create', 'volume create', 'volume create new'],
    command: 'volume prune --force',
    few: 24,
    after: () => each('volume prune --force', 'volume rm new'),
  },
  {
    command: 'network create net',
    few: 24,
    after: () => {
      dropNetwork('net')
      each('network create net', 'network rm net')
    },
  },
  { before: ['network create net'], command: 'network rm net', few: 40, after: () => dropNetwork('net') },
  {
    before: [RUNNING, 'network create net'],
    command: 'network connect net victim',
    after: () => {
      lookAndRemove()
      must('network rm net')
    },
  },
  {
    before: ['network create net', 'run -d --name victim --network net busybox sleep 1000'],
    command: 'network disconnect net victim',
    after: () => {
      lookAndRemove()
      must('network rm net')
    },
  },
  {
    before: [RUNNING],
    command: 'rename victim other',
    after: () => {
      gone('victim', 'other')
      each('create --name victim busybox true', 'create --name other busybox true', 'rm victim other')
    },
  },
  { before: [RUNNING], command: 'update --publish-add 8131:80 victim', after: lookAndRemove, few: 24 },
  {
    before: ['run -d --name victim -p 8132:80 busybox sleep 1000'],
    command: 'update --publish-rm 8132:80 victim',
    after: lookAndRemove,
    few: 24,
  },
  {
    before: [RUNNING],
    command: 'cp FILE victim:/tmp/file',
    after: () => {
      each('ps', `cp ${file()} victim:/tmp/file`)
      expect(must('exec victim cat /tmp/file')).toBe('some words')
      gone('victim')
    },
  },
  {
    name: 'cp FILE into one that does not run',
    before: ['create --name victim busybox true'],
    command: 'cp FILE victim:/tmp/file',
    after: () => {
      each('ps', `cp ${file()} victim:/tmp/file`)
      gone('victim')
    },
  },
  { command: 'tag busybox other', few: 24, after: () => each('tag busybox other', 'rmi other') },
  { before: ['tag busybox other'], command: 'rmi other', after: () => each('tag busybox other', 'rmi other') },
  {
    before: ['create --name victim -v kept:/kept busybox true', 'create --name other busybox true'],
    command: 'container prune --force',
    after: () => {
      must('container prune --force')
      expect(names()).toEqual([])
    },
  },
  {
    before: ['create --name victim -v /data -v kept:/kept busybox true', 'volume create', 'network create net'],
    command: 'system prune --force --volumes',
    few: 40,
    after: () => {
      must('system prune --force --volumes')
      expect([...names(), ...volumes()]).toEqual([])
    },
  },
  {
    before: ['run -d --name victim --restart always -p 8134:80 busybox sleep 1000'],
    command: 'restart -t 0 victim',
    after: () => {
      each('ps', 'restart -t 0 victim', 'exec victim true')
      gone('victim')
    },
  },
  {
    before: ['run -d --name victim --restart always -p 8134:80 busybox sleep 1000'],
    command: 'stop -t 0 victim',
    after: () => {
      each('ps', 'stop -t 0 victim')
      gone('victim')
    },
  },
  { before: [RUNNING], command: 'pause victim', after: lookAndRemove },
  {
    before: [RUNNING],
    command: 'exec victim true',
    after: () => {
      each('ps', 'exec victim true')
      gone('victim')
    },
  },
]

for (const { command, before = [], after, few = FEW, name = command } of CASES)
  test(`${name}: killed before any of its calls, the next commands find all as it is and nothing is left (S244, S266)`, async () => {
    const words = command.replace('FILE', file()).split(' ')
    const base = present()
    each(...before)
    const points = await callsOf(engine, words)
    after()
    let visited = 0
    const chosen = sample(points, few)
    for (const point of chosen) {
      each(...before)
      if (await killedAt(engine, point, words)) visited++
      after()
      let left: readonly string[] = []
      settles(() => {
        must('ps -aq')
        left = present()
        return left.join() === base.join()
      })
      const [more, less] = [left.filter((one) => !base.includes(one)), base.filter((one) => !left.includes(one))]
      expect([point, more, less]).toEqual([point, [], []])
    }
    addFigures({ command: name, kind: 'the engine', way: 'is killed', points: chosen.length, visited })
  })
