import { describe, expect, test } from 'bun:test'
import { delayMs, type Health, type HealthResult, nextHealth } from './health.ts'

const SECOND = 1e9
const POLICY = { retries: 3, startPeriodNanos: 10 * SECOND }
const STARTING: Health = { status: 'starting', failingStreak: 0, log: [] }
const result = (exitCode: number): HealthResult => ({ start: '', end: '', exitCode, output: '' })

/** The states behind checks with these exit codes, which began at these milliseconds. */
function states(checks: readonly (readonly [ranMs: number, exitCode: number])[]): readonly string[] {
  let health = STARTING
  return checks.map(([ranMs, exitCode]) => {
    health = nextHealth(POLICY, health, { result: result(exitCode), ranMs })
    return `${health.status} ${health.failingStreak}`
  })
}

describe('the state behind a check', () => {
  test('is unhealthy behind as many failures in a row as were asked for, and healthy behind one success', () => {
    const checks = [1, 1, 0, 1, 1, -1, 1, 0].map((exitCode, at) => [20_000 + at, exitCode] as const)
    expect(states(checks)).toEqual([
      'starting 1',
      'starting 2',
      'healthy 0',
      'healthy 1',
      'healthy 2',
      'unhealthy 3',
      'unhealthy 4',
      'healthy 0',
    ])
  })

  test('forgives failures in the start period, until the first success', () => {
    const failures = [1, 2, 3, 4].map((at) => [at * 1000, 1] as const)
    expect(states(failures)).toEqual(failures.map(() => 'starting 0'))
    expect(states([...failures, [10_000, 1]])[4]).toBe('starting 1')
    expect(
      states([
        [1000, 0],
        [2000, 1],
        [3000, 1],
        [4000, 1],
      ])[3],
    ).toBe('unhealthy 3')
  })

  test('has the last five results', () => {
    const health = [1, 2, 3, 4, 5, 6].reduce(
      (before, exitCode) => nextHealth(POLICY, before, { result: result(exitCode), ranMs: 0 }),
      STARTING,
    )
    expect(health.log.map(({ exitCode }) => exitCode)).toEqual([2, 3, 4, 5, 6])
  })
})

test('the start interval counts while it starts, and in the start period only', () => {
  const policy = {
    ...POLICY,
    test: [],
    timeoutNanos: 0,
    intervalNanos: 30 * SECOND,
    startIntervalNanos: 2 * SECOND,
  }
  expect(delayMs(policy, { status: 'starting', ranMs: 0 })).toBe(2000)
  expect(delayMs(policy, { status: 'healthy', ranMs: 0 })).toBe(30_000)
  expect(delayMs(policy, { status: 'starting', ranMs: 10_000 })).toBe(30_000)
})
