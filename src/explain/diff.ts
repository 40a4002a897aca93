/** What makes two plans different, step by step, in the form of diff -u. */

import type { ShowOptions } from '../linux/signatures-show.ts'
import type { Plan } from '../plan/plan.ts'
import { heading, outline } from './outline.ts'
import { stepText } from './step-text.ts'

export interface DiffOptions extends ShowOptions {
  /** How many equal steps to show around different ones; default 3. */
  readonly contextSteps?: number
}

/** '' if the plans make the same calls for the same reasons; undo steps are compared as well. */
export function explainDiff(before: Plan, after: Plan, options: DiffOptions = {}): string {
  const edits = editsBetween(linesOf(before, options), linesOf(after, options))
  const hunks = hunksOf(edits, options.contextSteps ?? 3)
  if (hunks.length === 0) return ''
  const lines = [
    `--- ${before.operation}`,
    `+++ ${after.operation}`,
    ...hunks.flatMap((hunk) => hunkLines(edits, hunk)),
  ]
  return `${lines.join('\n')}\n`
}

function linesOf(plan: Plan, options: ShowOptions): readonly string[] {
  return outline(plan).map((entry) => {
    const { step, depth, isFirst } = entry
    const title = isFirst && depth > 0 ? `${heading(entry)} ` : ''
    return `${'  '.repeat(depth)}${title}${stepText(step, options)}  # ${step.why}`
  })
}

interface Edit {
  readonly sign: ' ' | '-' | '+'
  readonly line: string
}

/** A shortest list of edits, by the longest common subsequence of what is between the common start and the common end. */
function editsBetween(a: readonly string[], b: readonly string[]): readonly Edit[] {
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return [
    ...a.slice(0, start).map(keep),
    ...middleEdits(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...a.slice(a.length - end).map(keep),
  ]
}

const keep = (line: string): Edit => ({ sign: ' ', line })

/** `common(i, j)`: how many lines `a.slice(i)` and `b.slice(j)` have in common. */
function commonCounts(a: readonly string[], b: readonly string[]): (i: number, j: number) => number {
  const width = b.length + 1
  const counts = new Uint32Array((a.length + 1) * width)
  const common = (i: number, j: number): number => counts[i * width + j] ?? 0
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      counts[i * width + j] = a[i] === b[j] ? common(i + 1, j + 1) + 1 : Math.max(common(i + 1, j), common(i, j + 1))
  return common
}

function middleEdits(a: readonly string[], b: readonly string[]): readonly Edit[] {
  const common = commonCounts(a, b)
  const edits: Edit[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]]
    if (left !== undefined && left === right) {
      edits.push(keep(left))
      i++
      j++
    } else if (left !== undefined && (right === undefined || common(i + 1, j) >= common(i, j + 1))) {
      edits.push({ sign: '-', line: left })
      i++
    } else {
      edits.push({ sign: '+', line: right ?? '' })
      j++
    }
  }
  return edits
}

interface Hunk {
  readonly from: number
  readonly to: number
}

/** Ranges of edits around changes; ranges that touch are one. */
function hunksOf(edits: readonly Edit[], context: number): readonly Hunk[] {
  const hunks: Hunk[] = []
  edits.forEach(({ sign }, index) => {
    if (sign === ' ') return
    const from = Math.max(0, index - context)
    const to = Math.min(edits.length, index + context + 1)
    const last = hunks[hunks.length - 1]
    if (last !== undefined && from <= last.to) hunks[hunks.length - 1] = { from: last.from, to }
    else hunks.push({ from, to })
  })
  return hunks
}

function hunkLines(edits: readonly Edit[], { from, to }: Hunk): readonly string[] {
  const count = (list: readonly Edit[], sign: '-' | '+'): number =>
    list.filter((edit) => edit.sign === ' ' || edit.sign === sign).length
  const [before, within] = [edits.slice(0, from), edits.slice(from, to)]
  const range = (sign: '-' | '+'): string => `${sign}${count(before, sign) + 1},${count(within, sign)}`
  return [`@@ ${range('-')} ${range('+')} @@`, ...within.map(({ sign, line }) => sign + line)]
}
