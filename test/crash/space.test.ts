/** Nothing can be written any more: an error that says so, or a command that did not need to; never half of something (S271). */

import { afterAll, afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { type Baseline, leaks, settles, takeBaseline } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { addFigures, printTotal } from './figures.ts'
import { inject, LONG, pointsOf, sample } from './injection.ts'
import { KINDS, playOn, type Scene } from './scenario.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
afterEach(expectNothingLeft)
afterAll(printTotal)

const ENOSPC = 28
/** The calls that can meet a full file system, by their numbers on x86_64. */
const WRITING: Readonly<Record<number, string>> = {
  1: 'write',
  18: 'pwrite64',
  40: 'sendfile',
  77: 'ftruncate',
  257: 'openat',
  258: 'mkdirat',
  259: 'mknodat',
  265: 'linkat',
  266: 'symlinkat',
  316: 'renameat2',
  319: 'memfd_create',
}

function remains({ after, leaks: left }: Scene): readonly string[] {
  after()
  let seen: readonly string[] = []
  settles(() => {
    seen = left()
    return seen.length === 0
  }, 10_000)
  return seen
}

const SCENES: readonly (readonly [play: string, kind: keyof typeof KINDS])[] = [
  ['create', 'plain'],
  ['run', 'plain'],
  ['start', 'plain'],
  ['exec', 'plain'],
  ['update', 'plain'],
  ['delete', 'plain'],
  ['create', 'full'],
  ['run', 'full'],
  ['start', 'full'],
  ['exec', 'full'],
  ['update', 'full'],
  ['delete', 'full'],
  ['run', 'rootless'],
]

for (const [play, kind] of SCENES) {
  test(`wherever ${play} of ${KINDS[kind].name} finds no space to write, nothing is left`, () => {
    using site = makeSite()
    const scene = playOn(site, play, KINDS[kind])
    const points = pointsOf(site, scene.before()).filter(({ call }) => call in WRITING)
    expect(remains(scene)).toEqual([])
    const visited = sample(points, kind === 'full' ? 8 : 15)
    let missed = 0
    for (const point of visited) {
      const { hit, exitCode } = inject(site, scene.before(), point, `errno=${ENOSPC}`)
      if (!hit) missed++
      const at = `${WRITING[point.call]}, call ${point.index} of ${point.role}`
      expect([at, exitCode === null, remains(scene)]).toEqual([at, false, []])
    }
    addFigures({
      command: play,
      kind: KINDS[kind].name,
      way: 'finds no space',
      points: points.length,
      visited: visited.length - missed,
    })
    if (!scene.isFresh) site.call(['delete', '--force', site.id])
  })
}

/** A run root with room for so many pages and files, which begins with what the container of `up` needs. */
class TinyRoot {
  readonly #site: Site
  constructor(site: Site, pages: number, inodes: number) {
    this.#site = site
    mkdirSync(site.root(), { recursive: true })
    mount(['-t', 'tmpfs', '-o', `size=${pages * 4}k,nr_inodes=${inodes}`, 'coffer-tiny', site.root()])
  }
  [Symbol.dispose](): void {
    mount([this.#site.root()], 'umount')
  }
}

function mount(words: readonly string[], program = 'mount'): void {
  const { exitCode, stderr } = Bun.spawnSync([program, ...words])
  if (exitCode !== 0) throw new Error(`${program} ${words.join(' ')}: ${stderr}`)
}

/** One after the other in a run root that is too small for the later ones. */
const COMMANDS: readonly (readonly string[])[] = [
  ['create'],
  ['start'],
  ['exec'],
  ['update', '--pids-limit', '50'],
  ['delete', '--force'],
  ['run', '--detach'],
  ['exec'],
  ['delete', '--force'],
  ['run'],
]

function liveIn(site: Site, baseline: Baseline): readonly string[] {
  const outcomes = COMMANDS.map(([name = '', ...flags]) => {
    site.configure({ 'process.args': name === 'run' && flags.length === 0 ? ['true'] : ['sleep', '1000'] })
    const { exitCode, stderr } = site.call([name, ...flags, site.id, ...(name === 'exec' ? ['true'] : [])])
    if (exitCode !== 0 && !/^error: /m.test(stderr)) throw new Error(`${name}: no error that says why: ${stderr}`)
    return `${name} ${exitCode}`
  })
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  const owned = { word: site.id, directory: site.directory, roots: [site.root()] }
  let left: readonly string[] = []
  settles(() => {
    left = leaks(owned, baseline)
    return left.length === 0
  }, 10_000)
  expect([outcomes, left]).toEqual([outcomes, []])
  return outcomes
}

test('in a run root of any size each command succeeds or says why not, and nothing is left', () => {
  using site = makeSite()
  let [succeeded, failed] = [0, 0]
  const sizes: (readonly [pages: number, inodes: number])[] = []
  for (let pages = 1; pages <= (LONG ? 60 : 12); pages++) sizes.push([pages, 100])
  for (let inodes = 2; inodes <= (LONG ? 16 : 10); inodes++) sizes.push([100, inodes])
  for (const [pages, inodes] of sizes) {
    using _root = new TinyRoot(site, pages, inodes)
    const owned = { word: site.id, directory: site.directory, roots: [site.root()] }
    const outcomes = liveIn(site, takeBaseline(owned))
    failed += outcomes.filter((outcome) => !outcome.endsWith(' 0')).length
    succeeded += outcomes.filter((outcome) => outcome.endsWith(' 0')).length
  }
  addFigures({
    command: 'all',
    kind: 'a default container',
    way: 'has a tiny run root',
    points: sizes.length,
    visited: sizes.length,
  })
  expect([succeeded > 0, failed > 0]).toEqual([true, true])
})
