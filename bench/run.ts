/** `run` of a container from its start to its end, against crun, runc and the floor. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bench, PAUSE_MS, type Part } from './bench.ts'
import { compileFreestanding } from './compile.ts'
import { planRun, seeHost } from './container-plan.ts'
import { floorProgram } from './floor.ts'
import type { Program } from './programs.ts'
import { atMost, compareTimes, type Goal, type Row } from './row.ts'
import { type Action, column, pause, run, takeTurns, time } from './timer.ts'

interface Contender {
  readonly name: string
  /** Not timed. */
  readonly before: readonly Action[]
  readonly command: () => readonly string[]
}

interface Mode {
  readonly name: string
  readonly before: readonly Action[]
  readonly goals: Readonly<Record<string, Goal>>
}

const FLOOR = 'floor: its system calls in C'
const ANEW = 'of a new configuration'

const MODES: readonly Mode[] = [
  {
    name: 'run, spaced by other work',
    before: [pause(PAUSE_MS)],
    goals: { crun: atMost(0.6, 0.3), runc: atMost(0.4, 0.2), [FLOOR]: atMost(3, 1.3) },
  },
  {
    name: 'run, back to back',
    before: [],
    goals: { crun: atMost(1, 0.6), runc: atMost(0.4, 0.2), [FLOOR]: atMost(3, 1.3) },
  },
]

export const runPart: Part = async (bench) => {
  const { coffer, crun, runc } = bench.peers
  const peers = [crun, runc].filter((program) => program !== undefined)
  const contenders = [
    contenderOf(bench, coffer),
    anew(bench, coffer),
    ...peers.map((program) => contenderOf(bench, program)),
    makeFloor(bench),
  ]
  const rows: Row[] = []
  for (const mode of MODES) rows.push(...(await compareIn(mode, bench, contenders)))
  return { rows, notes: [`coffer keeps the plan of a configuration that it is given again; "${ANEW}": it has none.`] }
}

async function compareIn(
  mode: Mode,
  { timer, rounds }: Bench,
  contenders: readonly Contender[],
): Promise<readonly Row[]> {
  const turns = contenders.map(({ before, command }) => () => [...before, ...mode.before, time(command())])
  const times = await takeTurns(timer, turns, rounds)
  const [again = [], anew = [], ...others] = times.map((rounds) => column(rounds, 0))
  return contenders.slice(2).flatMap(({ name }, index) => {
    const theirs = others[index]
    const goal = mode.goals[name]
    if (theirs === undefined || goal === undefined) return []
    const compare = (measure: string, ours: readonly number[]): Row =>
      compareTimes({ measure, peer: name, ours, theirs, goal })
    return [compare(mode.name, again), compare(`${mode.name}, ${ANEW}`, anew)]
  })
}

const contenderOf = ({ place, bundles }: Bench, { name, command }: Program): Contender => ({
  name,
  before: [],
  command: () => [...command, 'run', '--bundle', bundles.brief, place.newId(name)],
})

/** The same with a run root of its own, in which no plan is kept. */
function anew(bench: Bench, coffer: Program): Contender {
  const [program = ''] = coffer.command
  const root = bench.place.root('anew')
  const contender = contenderOf(bench, { ...coffer, command: [program, '--root', root] })
  return { ...contender, before: [run(['/bin/rm', '-rf', join(root, '.plans')])] }
}

/** It makes the same container each time, which it can, as it removes it. */
function makeFloor({ place, bundles }: Bench): Contender {
  const host = seeHost()
  const bundle = bundles.placedBrief
  const configText = readFileSync(join(bundle, 'config.json'), 'utf8')
  const plan = planRun({ id: place.newId('floor'), bundle, configText, root: place.root('floor') }, host)
  const source = join(place.directory, 'floor.c')
  const program = join(place.directory, 'floor')
  writeFileSync(source, floorProgram(plan, host.architecture))
  compileFreestanding(source, program)
  return { name: FLOOR, before: [], command: () => [program] }
}
