/**
 * What many boxes leave with the program that made them. Runs under Bun and under Node: leaks.ts SETTINGS, where SETTINGS is the JSON of
 * LeaksSettings; prints that of Leaks.
 */

import { type Held, makeMany, mayHaveGrown, whatIsHeld } from '../test/library/many-boxes.ts'

export interface LeaksSettings {
  readonly count: number
  readonly atOnce: number
}

/** More than before. */
export interface Leaks {
  readonly boxes: number
  readonly descriptors: number
  readonly processes: number
  readonly cgroups: number
  readonly mounts: number
  readonly heapBytes: number
  /** What the heap grows by in any case. */
  readonly heapAllowance: number
}

const WARM = 100

async function measure({ count, atOnce }: LeaksSettings): Promise<Leaks> {
  await makeMany(WARM, atOnce)
  const before = await whatIsHeld()
  const boxes = await makeMany(count, atOnce)
  const after = await whatIsHeld()
  const more = (name: Exclude<keyof Held, 'heapBytes'>): number => Math.max(0, after[name].length - before[name].length)
  return {
    boxes,
    descriptors: more('descriptors'),
    processes: more('children'),
    cgroups: more('cgroups'),
    mounts: more('mounts'),
    heapBytes: after.heapBytes - before.heapBytes,
    heapAllowance: mayHaveGrown(boxes),
  }
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? '') as LeaksSettings)))
