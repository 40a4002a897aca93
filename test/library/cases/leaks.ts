/** Many boxes leave nothing in the caller or on the machine: COFFER_LEAK_BOXES of them, 60 by default. */

import assert from 'node:assert/strict'
import type { Cases } from '../cases.ts'
import { makeMany, mayHaveGrown, whatIsHeld } from '../many-boxes.ts'

const COUNT = Number(process.env.COFFER_LEAK_BOXES ?? 60)
const AT_ONCE = Math.min(50, COUNT / 2)

export const cases: Cases = {
  [`many boxes, one after the other and ${AT_ONCE} at once, leave no descriptor, process, cgroup, mount or memory (S294)`]:
    async () => {
      // Channels, code and caches of the runtime are made with the first ones.
      await makeMany(COUNT, AT_ONCE)
      const { heapBytes: before, ...held } = await whatIsHeld()
      const boxes = await makeMany(COUNT, AT_ONCE)
      const { heapBytes: now, ...left } = await whatIsHeld()
      assert.deepEqual(left, held)
      assert.deepEqual([left.mounts, left.cgroups], [[], []])
      const grown = now - before
      console.error(`${process.versions.bun === undefined ? 'Node' : 'Bun'}: ${boxes} boxes, ${grown} bytes of heap`)
      assert.ok(grown < mayHaveGrown(boxes), `the heap grew by ${grown} bytes for ${boxes} boxes`)
    },
}
