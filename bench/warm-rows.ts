/** Runs warm.ts under each engine, one container at a time and eight. */

import { join } from 'node:path'
import type { Bench, Part } from './bench.ts'
import { ENGINES, runInEngine } from './engines.ts'
import { atLeast, type Row } from './row.ts'
import { sum } from './statistics.ts'
import type { WarmSettings, WarmTimes } from './warm.ts'

const BLOCKS = 10
const COUNT = 50
const NOTE =
  'For each warm container its configuration is read; one that is the same as before is not planned again, but filled in.'
const GOAL = atLeast(2, 3)

export const warmPart: Part = async (bench) => {
  const { crun } = bench.peers
  if (crun === undefined) return { rows: [], notes: [] }
  const rows: Row[] = []
  for (const [name, path] of Object.entries(ENGINES)) {
    for (const atOnce of [1, 8]) {
      const label = `${BLOCKS * COUNT} containers from ${name}, ${atOnce} at a time`
      rows.push(rowOf(label, await measure(bench, path, { atOnce, crun: crun.command })))
    }
  }
  return { rows, notes: [NOTE] }
}

async function measure(
  { place, bundles, dist, signal }: Bench,
  engine: string,
  { atOnce, crun }: Pick<WarmSettings, 'atOnce' | 'crun'>,
): Promise<WarmTimes> {
  const executor = join(dist, 'coffer-executor')
  const common = { executor, root: place.root('warm'), bundle: bundles.brief, prefix: place.newId('warm') }
  const settings: WarmSettings = { ...common, crun, atOnce, blocks: BLOCKS, count: COUNT }
  return runInEngine<WarmTimes>({ engine, file: 'warm.ts', settings, signal })
}

/** Rates: more is better. */
function rowOf(measure: string, { coffer, crun }: WarmTimes): Row {
  const ratios = coffer.map((ms, block) => (crun[block] ?? Number.NaN) / ms).sort((a, b) => a - b)
  const rate = (blocks: readonly number[]): string => `${((BLOCKS * COUNT * 1000) / sum(blocks)).toFixed(0)}/s`
  return {
    measure,
    peer: 'crun',
    ours: rate(coffer),
    theirs: rate(crun),
    compared: { value: sum(crun) / sum(coffer), low: ratios[0] ?? Number.NaN, high: ratios.at(-1) ?? Number.NaN },
    goal: GOAL,
  }
}
