/** One protection less: a plan with a step dropped, moved or weakened, and the container in which that has to be noticed. */

import type { Edit } from '../plan-edits.ts'
import type { Scenario } from './scenario.ts'

export interface Mutant {
  readonly name: string
  readonly edit: Edit
  readonly scenario: Scenario
  /** Why nothing can notice it. */
  readonly equivalent?: string
}

export const inScenario =
  (scenario: Scenario) =>
  (name: string, edit: Edit): Mutant => ({ name, edit, scenario })
