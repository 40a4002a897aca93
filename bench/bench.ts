/** What every part of the benchmark works with. */

import type { Bundles } from './bundle.ts'
import type { Place } from './place.ts'
import type { Peers } from './programs.ts'
import type { Row } from './row.ts'
import type { Timer } from './timer.ts'

export interface Bench {
  readonly place: Place
  readonly peers: Peers
  readonly bundles: Bundles
  readonly timer: Timer
  readonly rounds: number
  /** Where coffer-runc and coffer-executor are. */
  readonly dist: string
  readonly signal: AbortSignal
}

export interface Outcome {
  readonly rows: readonly Row[]
  /** Sentences for the reader of the table. */
  readonly notes: readonly string[]
}

export type Part = (bench: Bench) => Promise<Outcome>

/** Between two containers of a machine that does other work as well. */
export const PAUSE_MS = 30
