/** A plan as a table for people: the call, why it is made, where that is documented. */

import type { ShowOptions } from '../linux/signatures-show.ts'
import type { Plan } from '../plan/plan.ts'
import { type Entry, heading, outline } from './outline.ts'
import { stepText } from './step-text.ts'
import { type Row, table } from './table.ts'

export interface TextOptions extends ShowOptions {
  /** The longest line, in characters; default no limit. */
  readonly width?: number
  /** With the steps that take back what a step made. */
  readonly undo?: boolean
  /** Without the number of each step, so that texts of two plans can be compared. */
  readonly numbers?: boolean
}

/**
 * Each step on a line: number, call, why, see. The steps of a child and of a branch are indented below the step that they belong to.
 *
 * The numbers are those of reading; explainJson also has those of the executor.
 */
export function explainText(plan: Plan, options: TextOptions = {}): string {
  const { width, undo = false, numbers = true } = options
  const entries = outline(plan).filter(({ role, number }) => undo || (role !== 'undo' && number !== undefined))
  const rows = entries.flatMap((entry) => entryRows(entry, options))
  const shown = numbers ? rows : rows.map(([, ...rest]) => rest)
  const right = numbers ? [0] : []
  return `${table(shown, width === undefined ? { right } : { width, right })}\n`
}

function entryRows(entry: Entry, options: TextOptions): readonly Row[] {
  const { step, number, depth } = entry
  const indent = '  '.repeat(depth)
  const row: Row = [
    number === undefined ? '' : String(number),
    `${indent}${stepText(step, options)}`,
    step.why,
    step.see.join(', '),
  ]
  const title = entry.isFirst ? heading(entry) : ''
  return title === '' ? [row] : [['', `${'  '.repeat(depth - 1)} ${title}`], row]
}
