/** Branches → jumps: a list of steps as a row in which a step may pass over the next ones. */

import type { Step } from '../plan/plan.ts'

/** Where a list is put; a row that grows at its end. */
export interface Row {
  /** Undefined for a jump. */
  readonly steps: (Step | undefined)[]
  /** For each step of the list how many it passes over: behind a success, and, 16 bits higher, behind a tolerated error. */
  readonly skips: number[]
}

/** `then` follows its step, a jump over `otherwise` follows `then`, `otherwise` comes last. */
export function flatten(list: readonly Step[], row: Row): void {
  for (const step of list) {
    const at = row.skips.length
    row.steps.push(step)
    row.skips.push(0)
    if (step.then !== undefined || step.otherwise !== undefined) flattenBranches(step, at, row)
  }
}

function flattenBranches({ then = [], otherwise = [] }: Step, at: number, row: Row): void {
  const { steps, skips } = row
  flatten(then, row)
  const jump = skips.length
  if (then.length > 0 && otherwise.length > 0) {
    steps.push(undefined)
    skips.push(0)
  }
  const first = skips.length
  flatten(otherwise, row)
  const passed = skips.length - first
  skips[at] = (then.length > 0 ? 0 : passed) | ((first - at - 1) << 16)
  if (jump < first) skips[jump] = passed
}
