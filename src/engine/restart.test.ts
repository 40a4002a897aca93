import { expect, test } from 'bun:test'
import type { RestartPolicy } from './record.ts'
import { nextRestart, type Restarts } from './restart.ts'

const policy = (when: RestartPolicy['when'], maxRetries = 0): RestartPolicy => ({ when, maxRetries })
const none: Restarts = { count: 0, delayMs: 0 }

test('who fails at once waits 100 ms first, twice as long each time, and a minute at most', () => {
  const delays: number[] = []
  let now: Restarts = none
  for (let turn = 0; turn < 12; turn++) {
    now = nextRestart(policy('always'), now, { status: 1, ranMs: 5 }) ?? none
    delays.push(now.delayMs)
  }
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000])
  expect(now.count).toBe(12)
})

test('who ran for ten seconds begins anew', () => {
  const before = { count: 5, delayMs: 3200 }
  expect(nextRestart(policy('always'), before, { status: 1, ranMs: 10_000 })).toEqual({ count: 6, delayMs: 100 })
  expect(nextRestart(policy('always'), before, { status: 1, ranMs: 9_999 })).toEqual({ count: 6, delayMs: 6400 })
})

test('on-failure is about failures, and as often as it says', () => {
  expect(nextRestart(policy('on-failure'), none, { status: 0, ranMs: 0 })).toBeUndefined()
  expect(nextRestart(policy('always'), none, { status: 0, ranMs: 0 })).toBeDefined()
  expect(nextRestart(policy('on-failure', 2), { count: 1, delayMs: 100 }, { status: 1, ranMs: 0 })).toBeDefined()
  expect(nextRestart(policy('on-failure', 2), { count: 2, delayMs: 200 }, { status: 1, ranMs: 0 })).toBeUndefined()
  expect(nextRestart(policy('no'), none, { status: 1, ranMs: 0 })).toBeUndefined()
})
