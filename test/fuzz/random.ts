/** The same numbers in every run: a finding is seen again by its seed. */

export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  readonly below: (limit: number) => number
  readonly of: <T>(list: readonly T[]) => T
}

/** mulberry32 */
function randomSource(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function newRandom(seed: number): Random {
  const next = randomSource(seed)
  const below = (limit: number): number => Math.floor(next() * limit)
  return { below, of: <T>(list: readonly T[]) => list[below(list.length)] as T }
}
