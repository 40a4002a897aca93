/** Many containers that run at the same time: how long it takes until all of them run, and until all are gone. */

import type { Part } from './bench.ts'
import type { Program } from './programs.ts'
import { atMost, milliseconds, type Row } from './row.ts'
import { sum } from './statistics.ts'
import { type Action, reap, time } from './timer.ts'

const COUNT = 200
const BLOCKS = 2
const GOAL = atMost(0.8, 0.4)
/** The last quarter of the containers against the first one: 1 is linear. */
const LINEAR = atMost(1.3, 1.15)

/** Of one block: each container. Milliseconds. */
interface Times {
  readonly start: readonly number[]
  readonly remove: readonly number[]
}

export const manyPart: Part = async ({ place, peers: { coffer, crun }, bundles, timer }) => {
  const block = async ({ name, command }: Program): Promise<Times> => {
    const ids = Array.from({ length: COUNT }, () => place.newId(name))
    const start = (id: string): Action => time([...command, 'run', '--detach', '--bundle', bundles.lasting, id])
    const remove = (id: string): Action => time([...command, 'delete', '--force', id])
    const times = await timer([...ids.map(start), ...ids.map(remove), reap])
    return { start: times.slice(0, COUNT), remove: times.slice(COUNT) }
  }
  const ours: Times[] = []
  const theirs: Times[] = []
  for (let count = 0; count < BLOCKS; count++) {
    ours.push(await block(coffer))
    if (crun !== undefined) theirs.push(await block(crun))
  }
  const rows = (['start', 'remove'] as const).flatMap((step) => {
    const verb = step === 'start' ? 'start' : 'delete'
    const mine = ours.map((times) => times[step])
    const others = theirs.map((times) => times[step])
    return [...(crun === undefined ? [] : [totals(verb, mine, others)]), linearity(verb, mine)]
  })
  return { rows, notes: [growth('coffer', ours), ...(crun === undefined ? [] : [growth('crun', theirs)])] }
}

type Blocks = readonly (readonly number[])[]

/** The range is that of the blocks, compared each with each. */
function totals(verb: string, ours: Blocks, theirs: Blocks): Row {
  const [mine, others] = [ours.map(sum), theirs.map(sum)]
  const ratios = mine.flatMap((one) => others.map((other) => one / other))
  return {
    measure: `${verb} ${COUNT} containers that run at once`,
    peer: 'crun',
    ours: milliseconds(sum(mine) / mine.length),
    theirs: milliseconds(sum(others) / others.length),
    compared: { value: sum(mine) / sum(others), low: Math.min(...ratios), high: Math.max(...ratios) },
    goal: GOAL,
  }
}

function linearity(verb: string, blocks: Blocks): Row {
  const quarter = COUNT / 4
  const first = sum(blocks.map((block) => sum(block.slice(0, quarter)))) / blocks.length
  const last = sum(blocks.map((block) => sum(block.slice(-quarter)))) / blocks.length
  const ratios = blocks.map((block) => sum(block.slice(-quarter)) / sum(block.slice(0, quarter)))
  return {
    measure: `${verb}: the last ${quarter} of ${COUNT}`,
    peer: `coffer, the first ${quarter}`,
    ours: milliseconds(last),
    theirs: milliseconds(first),
    compared: { value: last / first, low: Math.min(...ratios), high: Math.max(...ratios) },
    goal: LINEAR,
  }
}

function growth(name: string, blocks: readonly Times[]): string {
  const upTo = (step: keyof Times, count: number): string =>
    milliseconds(sum(blocks.map((block) => sum(block[step].slice(0, count)))) / blocks.length)
  const line = (step: keyof Times): string =>
    [50, 100, 200].map((count) => `${count} in ${upTo(step, count)}`).join(', ')
  return `${name} starts ${line('start')}; deletes ${line('remove')}.`
}
