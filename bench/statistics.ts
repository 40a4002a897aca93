/** Medians and ratios with their uncertainty, from measurements that were made in turns. */

export interface Ratio {
  readonly value: number
  /** Between these, 95 of 100 times. */
  readonly low: number
  readonly high: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

const RESAMPLES = 1000

/**
 * The ratio of two medians. Its range is a bootstrap: rounds are drawn again and again with replacement, both values of a round together, as
 * what disturbed one of them may have disturbed the other.
 */
export function ratioOfMedians(ours: readonly number[], theirs: readonly number[]): Ratio {
  const rounds = Math.min(ours.length, theirs.length)
  const random = randomNumbers(rounds)
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const drawn = Array.from({ length: rounds }, () => Math.floor(random() * rounds))
    const pick = (from: readonly number[]): number => median(drawn.map((round) => from[round] ?? Number.NaN))
    return pick(ours) / pick(theirs)
  }).sort((a, b) => a - b)
  return {
    value: median(ours) / median(theirs),
    low: ratios[Math.floor(RESAMPLES * 0.025)] ?? Number.NaN,
    high: ratios[Math.floor(RESAMPLES * 0.975)] ?? Number.NaN,
  }
}

/** The same draws at each call, so that equal measurements give equal ranges. xorshift32, Marsaglia 2003 */
function randomNumbers(seed: number): () => number {
  let state = seed + 0x9e3779b9
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 0x1_0000_0000
  }
}
