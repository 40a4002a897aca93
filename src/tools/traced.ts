/** Runs the plan of a tool in a child, which tells of each step as it is made. */

import { bug, describeError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { close, pipe, read, writeText } from '../executor/embedded-files.ts'
import { CLOCK_MONOTONIC, clockNanos, exit, exitStatus, ownPid, waitForPid } from '../executor/embedded-process.ts'
import type { TraceEntry } from '../executor/report.ts'
import { outline } from '../explain/outline.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { runToolPlan, statusOf } from './run.ts'
import type { Tool } from './tool.ts'

export interface Traced {
  readonly trace: readonly TraceEntry[]
  readonly status: number
}

const SIGCHLD = 17
const STDERR = 2

export function traceTool(native: Native, tool: Tool, plan: Plan): Traced {
  const { readEnd, writeEnd } = pipe(native)
  const clock = (): number => clockNanos(native, CLOCK_MONOTONIC)
  const child = must(native, 'make a process for the plan', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) {
    const indices = new Map<Step, number>()
    for (const { step, index } of outline(plan)) if (!indices.has(step)) indices.set(step, index)
    const tell = (step: Step, result: number | undefined, beginNs: number): void => {
      const entry = { step: indices.get(step) ?? 0, pid: ownPid(native), result, beginNs, endNs: clock() }
      writeText(native, writeEnd, `${JSON.stringify(entry)}\n`)
    }
    exit(native, statusIn(native, tool, plan, { tell, clock }))
  }
  close(native, writeEnd)
  const text = readToEnd(native, readEnd)
  const endNs = clock()
  return { trace: entriesOf(text, endNs), status: exitStatus(waitForPid(native, child)) }
}

interface Teller {
  readonly tell: (step: Step, result: number | undefined, beginNs: number) => void
  readonly clock: () => number
}

function statusIn(native: Native, tool: Tool, plan: Plan, { tell, clock }: Teller): number {
  try {
    return runToolPlan(native, tool, plan, { trace: tell, clock })
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    return statusOf(error, tool)
  }
}

/** The pipe is closed by exit(2), and by execve(2): it is close-on-exec. */
function readToEnd(native: Native, fd: number): string {
  let text = ''
  for (;;) {
    const bytes = new Uint8Array(16_384)
    const length = read(native, fd, bytes)
    if (length === 0) break
    text += native.decode(bytes, 0, length)
  }
  attempt(native, 'close', fd)
  return text
}

/** A call that never told how it ended is the execve(2) that did not return. */
function entriesOf(text: string, endNs: number): readonly TraceEntry[] {
  const entries: TraceEntry[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const entry = JSON.parse(line) as Omit<TraceEntry, 'result'> & { readonly result?: number }
    const begun = entries.findIndex((one) => one.pid === entry.pid && one.step === entry.step && one.endNs === endNs)
    if (begun >= 0) entries.splice(begun, 1)
    entries.push(entry.result === undefined ? { ...entry, result: 0, endNs } : { ...entry, result: entry.result })
  }
  if (entries.length === 0) throw bug('the plan ran without a step')
  return entries
}
