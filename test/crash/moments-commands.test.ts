/**
 * Of each command, with a default and a full container and as a user, somebody is killed at any moment; the next command is enough to leave
 * nothing (S266, S268). `create` and `run` of a container with many stages are in moments.test.ts, with more to kill.
 */

import { afterAll, afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { settles } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, type Spawned } from '../kernel/site.ts'
import { addFigures, printTotal } from './figures.ts'
import { LONG } from './injection.ts'
import { CALLER, callersEnd, killAt, momentOf, ROUNDS, victimsOf } from './kill.ts'
import { KINDS, playOn, type Scene } from './scenario.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
afterEach(expectNothingLeft)
afterAll(printTotal)

const SCENES: readonly (readonly [play: string, kind: keyof typeof KINDS])[] = [
  ['create', 'plain'],
  ['run', 'plain'],
  ['start', 'plain'],
  ['exec', 'plain'],
  ['update', 'plain'],
  ['delete', 'plain'],
  ['start', 'full'],
  ['exec', 'full'],
  ['update', 'full'],
  ['delete', 'full'],
  ['run', 'rootless'],
]
const SETTLING_MS = 20_000
const rounds = LONG ? ROUNDS : 3

interface Begun {
  readonly started: Spawned
  /** Of Bun.nanoseconds(). */
  readonly begin: number
}

function begin({ site, before }: Scene, through: readonly string[]): Begun {
  const { args, as = [] } = before()
  return { begin: Bun.nanoseconds(), started: site.spawn(args, { through: [...through, ...as] }) }
}

/** How long the command takes on this machine now, in microseconds. */
async function duration(scene: Scene): Promise<number> {
  const { begin: from, started } = begin(scene, [])
  await started.exited
  return (Bun.nanoseconds() - from) / 1000
}

function remains(scene: Scene): readonly string[] {
  scene.after()
  let left: readonly string[] = []
  settles(() => {
    left = scene.leaks()
    return left.length === 0
  }, SETTLING_MS)
  return left
}

for (const [play, kind] of SCENES)
  test(`whoever takes part in ${play} of ${KINDS[kind].name} is killed at any moment, the next command leaves nothing`, async () => {
    using site = makeSite()
    const scene = playOn(site, play, KINDS[kind])
    await duration(scene)
    expect(remains(scene)).toEqual([])
    const longest = await duration(scene)
    expect(remains(scene)).toEqual([])
    for (const name of ['its front', 'its executor', 'its caller']) {
      let interrupted = 0
      for (let round = 0; round < rounds; round++) {
        const begun = begin(scene, name === 'its caller' ? CALLER : [])
        const micros = longest * momentOf(round)
        if (await killAt({ ...begun, micros, victims: victimsOf(name) })) interrupted++
        if (name === 'its caller') callersEnd(site)
        expect([name, round, remains(scene)]).toEqual([name, round, []])
      }
      addFigures({
        command: play,
        kind: KINDS[kind].name,
        way: `loses ${name}`,
        points: rounds,
        visited: interrupted,
      })
    }
    if (!scene.isFresh) site.call(['delete', '--force', site.id])
  })
