/** Steps as text, for tests that compare plans: one call a line, branches indented below the step that they belong to. */

import { heading, outline } from '../src/explain/outline.ts'
import { stepText } from '../src/explain/step-text.ts'
import type { Step } from '../src/plan/plan.ts'

export function linesOf(steps: readonly Step[]): string {
  const lines: string[] = []
  // Branches of an undo step belong to it.
  let undone = Number.POSITIVE_INFINITY
  for (const entry of outline({ operation: 'test', steps })) {
    if (entry.depth > undone) continue
    undone = entry.role === 'undo' ? entry.depth : Number.POSITIVE_INFINITY
    if (entry.role === 'undo') continue
    const indent = '  '.repeat(entry.depth)
    if (entry.isFirst && entry.role !== undefined) lines.push(indent.slice(1) + heading(entry))
    lines.push(indent + stepText(entry.step))
  }
  return lines.join('\n')
}

/** The undo steps alone, in the order of the steps that they undo. */
export function undoOf(steps: readonly Step[]): string {
  return outline({ operation: 'test', steps })
    .filter(({ role }) => role === 'undo')
    .map(({ step }) => stepText(step))
    .join('\n')
}

/** What is written to which file, `FILE = VALUE` in the order of the steps, branches not among them. */
export function settingsOf(steps: readonly Step[]): readonly string[] {
  return steps.flatMap(({ call: { name, args }, then = [] }): readonly string[] => {
    const [target, value] = args
    const isSetting = name === 'write' && typeof target === 'object' && 'slot' in target && typeof value === 'string'
    return [...(isSetting ? [`${target.slot} = ${value}`] : []), ...settingsOf(then)]
  })
}
