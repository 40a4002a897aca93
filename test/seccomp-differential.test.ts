/** The compiler against runc's way: seccomp-comparisons.ts, with numbers of which no profile meets a fault of libseccomp. */

import { expect, setDefaultTimeout, test } from 'bun:test'
import { newRandom } from './fuzz/random.ts'
import { COMPARISONS } from './seccomp-comparisons.ts'

setDefaultTimeout(120_000)

test('rules without conditions have the verdict of runc, whatever the architectures and the default', () => {
  expect(COMPARISONS.unconditional(newRandom(1))).toEqual({ verdicts: 150_000, refused: 0, differences: [] })
})

test('rules with one equality or inequality have the verdict of runc', () => {
  expect(COMPARISONS.equalities(newRandom(2))).toMatchObject({ verdicts: 45_000, differences: [] })
})

test('rules with one lower bound have the verdict of runc', () => {
  expect(COMPARISONS.lowerBounds(newRandom(3))).toMatchObject({ verdicts: 45_000, differences: [] })
})

test('rules with several equalities, masked or not, have the verdict of runc', () => {
  expect(COMPARISONS.severalEqualities(newRandom(4))).toMatchObject({ verdicts: 45_000, differences: [] })
})

test('of overlapping equalities with different actions that one counts which counts in runc', () => {
  const { verdicts, refused, differences } = COMPARISONS.equalitiesOfActions(newRandom(8))
  expect(differences).toEqual([])
  expect(refused).toBeGreaterThan(0)
  expect(verdicts).toBeGreaterThan(30_000)
})

test('of overlapping lower bounds with different actions that one counts which counts in runc, for arguments below 2^32', () => {
  const { verdicts, refused, differences } = COMPARISONS.lowerBoundsOfActions(newRandom(6))
  expect(differences).toEqual([])
  expect(refused).toBeGreaterThan(0)
  expect(verdicts).toBeGreaterThan(30_000)
})

test("Docker's default profile has the verdicts of runc", () => {
  expect(COMPARISONS.mobyDefault(newRandom(7))).toEqual({ verdicts: 150_000, refused: 0, differences: [] })
})
