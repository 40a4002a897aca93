/** One line of the result: a measure of coffer, that of a peer, how they compare, and what the comparison should reach. */

import { median, type Ratio, ratioOfMedians } from './statistics.ts'

export interface Goal {
  readonly must: number
  readonly aim: number
  /** Which way is good. */
  readonly better: 'lower' | 'higher'
}

export interface Row {
  readonly measure: string
  readonly peer: string
  /** With their units. */
  readonly ours: string
  readonly theirs: string
  /** What the goal is about: a ratio to the peer, or a quantity of coffer alone. */
  readonly compared: Ratio | { readonly value: number; readonly unit: string }
  readonly goal: Goal
}

export const atMost = (must: number, aim: number): Goal => ({ must, aim, better: 'lower' })
export const atLeast = (must: number, aim: number): Goal => ({ must, aim, better: 'higher' })

export type Reached = 'aim' | 'must' | 'no'

export function reached({ compared: { value }, goal: { must, aim, better } }: Row): Reached {
  const within = (limit: number): boolean => (better === 'lower' ? value <= limit : value >= limit)
  return within(aim) ? 'aim' : within(must) ? 'must' : 'no'
}

export interface Comparison {
  readonly measure: string
  readonly peer: string
  /** Milliseconds, of the same rounds. */
  readonly ours: readonly number[]
  readonly theirs: readonly number[]
  readonly goal: Goal
}

export const compareTimes = ({ measure, peer, ours, theirs, goal }: Comparison): Row => ({
  measure,
  peer,
  ours: milliseconds(median(ours)),
  theirs: milliseconds(median(theirs)),
  compared: ratioOfMedians(ours, theirs),
  goal,
})

export const milliseconds = (ms: number): string => (ms < 1000 ? `${ms.toFixed(2)} ms` : `${(ms / 1000).toFixed(2)} s`)
