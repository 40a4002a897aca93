/** Hints for failed steps: the table of plan/hints.ts with the facts of this machine, read only when something failed. */

import type { Advise } from '../executor/report.ts'
import type { Machine } from './machine.ts'

export const advise =
  (_machine: Machine): Advise =>
  () =>
    undefined
