/** Branches → jumps: a list of steps as a row in which a step may pass over the next ones. */

import type { Step } from '../plan/plan.ts'

/** A step in its place: with jumps instead of branches. */
export interface Placed {
  readonly step: Step | undefined
  readonly skipOk: number
  readonly skipError: number
}

/** `then` follows its step, a jump over `otherwise` follows `then`, `otherwise` comes last. */
export function flatten(list: readonly Step[], into: Placed[]): void {
  for (const step of list) {
    if (step.then === undefined && step.otherwise === undefined) into.push({ step, skipOk: 0, skipError: 0 })
    else flattenBranches(step, into)
  }
}

function flattenBranches(step: Step, into: Placed[]): void {
  const then: Placed[] = []
  const otherwise: Placed[] = []
  flatten(step.then ?? [], then)
  flatten(step.otherwise ?? [], otherwise)
  const jump: readonly Placed[] =
    then.length > 0 && otherwise.length > 0 ? [{ step: undefined, skipOk: otherwise.length, skipError: 0 }] : []
  const skipOk = then.length > 0 ? 0 : otherwise.length
  into.push({ step, skipOk, skipError: then.length + jump.length }, ...then, ...jump, ...otherwise)
}
