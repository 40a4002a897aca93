/** What a plan did when it ran: the result of each step and how long it took. */

import { errnoName } from '../linux/errno.ts'
import type { ShowOptions } from '../linux/signatures-show.ts'
import type { Plan } from '../plan/plan.ts'
import { type Entry, heading, outline } from './outline.ts'
import { stepText } from './step-text.ts'
import { type Row, table } from './table.ts'

/** One call as the executor saw it. `result` is that of the kernel: a negative errno for a failure. Times are of one clock. */
export interface TraceEntry {
  readonly step: number
  readonly pid: number
  readonly result: number
  readonly beginNs: number
  readonly endNs: number
}

export interface RanPlan {
  readonly plan: Plan
  readonly trace: readonly TraceEntry[]
}

export interface RunOptions extends ShowOptions {
  readonly width?: number
}

/** A step, and the calls that were made for it: none if it was not reached. */
export interface RanEntry extends Entry {
  readonly calls: readonly TraceEntry[]
}

/** `5`, `-ENOENT`; `-` if the call never answered or never was made. */
export function resultText(calls: readonly TraceEntry[]): string {
  const last = calls[calls.length - 1]
  if (last === undefined) return '-'
  return last.result < 0 && last.result > -4096 ? `-${errnoName(-last.result)}` : String(last.result)
}

/**
 * A table of number, microseconds, result, call and why. Steps that were not reached show `-`; undo steps are shown if they ran.
 * The last line has the time from the first call to the end of the last one.
 */
export function explainRun(plan: Plan, trace: readonly TraceEntry[], options: RunOptions = {}): string {
  const entries = ran(plan, trace).filter(({ number, calls }) => number !== undefined || calls.length > 0)
  const rows: Row[] = [
    ['step', 'µs', 'result', 'call', 'why'],
    ...entries.flatMap((entry) => entryRows(entry, options)),
  ]
  const begin = Math.min(...trace.map(({ beginNs }) => beginNs))
  const end = Math.max(...trace.map(({ endNs }) => endNs))
  const calls = trace.length === 1 ? '1 call' : `${trace.length} calls`
  if (trace.length > 0) rows.push(['', micros(end - begin), '', `${calls} from begin to end`])
  const { width } = options
  return `${table(rows, { right: [0, 1, 2], ...(width === undefined ? {} : { width }) })}\n`
}

/** The steps of a plan with their calls, in the order of reading. */
export function ran(plan: Plan, trace: readonly TraceEntry[]): readonly RanEntry[] {
  const calls = new Map<number, TraceEntry[]>()
  for (const call of trace) {
    const known = calls.get(call.step)
    if (known === undefined) calls.set(call.step, [call])
    else known.push(call)
  }
  return outline(plan).map((entry) => ({ ...entry, calls: calls.get(entry.index) ?? [] }))
}

function entryRows(entry: RanEntry, options: ShowOptions): readonly Row[] {
  const { step, number, depth, calls } = entry
  const time = calls.reduce((total, { beginNs, endNs }) => total + endNs - beginNs, 0)
  const again = calls.length > 1 ? ` (${calls.length} times)` : ''
  const call = `${'  '.repeat(depth)}${stepText(step, options)}${again}`
  const row: Row = [
    number === undefined ? '' : String(number),
    calls.length === 0 ? '-' : micros(time),
    resultText(calls),
    call,
    step.why,
  ]
  const title = entry.isFirst ? heading(entry) : ''
  return title === '' ? [row] : [['', '', '', `${'  '.repeat(depth - 1)} ${title}`], row]
}

/** Microseconds with one digit behind the point. */
export const micros = (ns: number): string => (ns / 1000).toFixed(1)
