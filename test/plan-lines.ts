/** Steps as text, for tests that compare plans: one call a line, branches indented below the step that they belong to. */

import { heading, outline } from '../src/explain/outline.ts'
import { stepText } from '../src/explain/step-text.ts'
import type { Step } from '../src/plan/plan.ts'

export const linesOf = (steps: readonly Step[]): string => lines(steps, false)

/** The undo steps alone, in the order of the steps that they undo. */
export const undoOf = (steps: readonly Step[]): string => lines(steps, true)

function lines(steps: readonly Step[], ofUndo: boolean): string {
  const found: string[] = []
  // Branches of an undo step belong to it.
  let undone = Number.POSITIVE_INFINITY
  for (const entry of outline({ operation: 'test', steps })) {
    const { depth, role, isFirst, step } = entry
    if (depth <= undone) undone = role === 'undo' ? depth : Number.POSITIVE_INFINITY
    if (depth >= undone !== ofUndo) continue
    const indent = '  '.repeat(ofUndo ? depth - undone : depth)
    if (isFirst && role !== undefined && role !== 'undo') found.push(indent.slice(1) + heading(entry))
    found.push(indent + stepText(step))
  }
  return found.join('\n')
}

/** What is written to which file, `FILE = VALUE` in the order of the steps, branches not among them. */
export function settingsOf(steps: readonly Step[]): readonly string[] {
  return steps.flatMap(({ call: { name, args }, then = [] }): readonly string[] => {
    const [target, value] = args
    const isSetting = name === 'write' && typeof target === 'object' && 'slot' in target && typeof value === 'string'
    return [...(isSetting ? [`${target.slot} = ${value}`] : []), ...settingsOf(then)]
  })
}
