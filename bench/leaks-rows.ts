/** Runs leaks.ts under each engine. */

import type { Part } from './bench.ts'
import { ENGINES, runInEngine } from './engines.ts'
import type { Leaks, LeaksSettings } from './leaks.ts'
import { atMost, type Row } from './row.ts'

const COUNT = 1000
const AT_ONCE = 50

export const leaksPart: Part = async ({ signal }) => {
  const rows: Row[] = []
  const notes: string[] = []
  for (const [name, engine] of Object.entries(ENGINES)) {
    const settings: LeaksSettings = { count: COUNT, atOnce: AT_ONCE }
    const leaks = await runInEngine<Leaks>({ engine, file: 'leaks.ts', settings, signal })
    rows.push(rowOf(name, leaks))
    notes.push(
      `${leaks.boxes} boxes from ${name}: the heap of the caller grew by ${leaks.heapBytes} bytes since the first 100; ` +
        `up to ${leaks.heapAllowance} are no leak.`,
    )
  }
  return { rows, notes }
}

function rowOf(engine: string, { descriptors, processes, cgroups, mounts, heapBytes, heapAllowance }: Leaks): Row {
  const ofMemory = heapBytes > heapAllowance ? 1 : 0
  return {
    measure: `left by 1,000 boxes one after another and 1,000 of which 50 at once, ${engine}`,
    peer: 'nothing',
    ours: `${descriptors} fds, ${processes} processes, ${cgroups} cgroups, ${mounts} mounts${ofMemory > 0 ? ', memory' : ''}`,
    theirs: '0',
    compared: { value: descriptors + processes + cgroups + mounts + ofMemory, unit: 'left' },
    goal: atMost(0, 0),
  }
}
