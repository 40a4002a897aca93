/** Runs plans from the embedded engine: one executor process for one plan. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import type { Plan } from '../plan/plan.ts'
import { assemble } from './assemble.ts'
import { architectureOf, failure } from './embedded-call.ts'
import { POLLIN, poll } from './embedded-events.ts'
import { close, memoryFile, pipe, read } from './embedded-files.ts'
import { waitForPid } from './embedded-process.ts'
import { type Advise, errorOf, parseReport, REPORT_HEADER_BYTES, type Report, reportBytes } from './report.ts'
import type { Filled, Frame } from './template.ts'

/** Behind stdio, plan and report. */
export const FIRST_EXTRA = 5

export interface RunOptions {
  /** What the executor, and so the container, gets as descriptors 0, 1 and 2. */
  readonly stdio?: readonly [number, number, number]
  /** Further descriptors; they are FIRST_EXTRA, and the next ones, in the executor. */
  readonly extraFds?: readonly number[]
  readonly trace?: boolean
  readonly advise?: Advise
}

/** A plan under way. */
export interface Running {
  /** Readable when a report comes; for ppoll(2). */
  readonly reportFd: number
  /** Waits for the next report: those of `report` steps, then the last one. Throws the error of a failed plan. */
  readonly next: () => Report
  /** Waits until the executor has become another program. Throws the error of a plan that failed before. */
  readonly becomes: () => void
}

export function startPlan(native: Native, plan: Plan, options: RunOptions = {}): Running {
  const assembled = assemble(plan, {
    architecture: architectureOf(native),
    encode: native.encode,
    trace: options.trace ?? false,
  })
  return startFrame(native, { ...assembled, steps: () => assembled.steps }, options)
}

export function startFrame(native: Native, frame: Frame, options: RunOptions = {}): Running {
  const planFd = memoryFile(native, 'plan', frame.frame)
  const { readEnd: reportFd, writeEnd: executorEnd } = pipe(native)
  const [stdin, stdout, stderr] = options.stdio ?? [0, 1, 2]
  const fds = [stdin, stdout, stderr, planFd, executorEnd, ...(options.extraFds ?? [])]
  const pid = native.spawnExecutor(fds)
  close(native, planFd)
  close(native, executorEnd)
  if (pid < 0) throw failure('start the executor', 'execveat', pid)
  return {
    reportFd,
    next: () => {
      const report = readReport(native, reportFd, frame)
      if (report.kind === 'progress') return report
      close(native, reportFd)
      waitForPid(native, pid)
      if (report.kind === 'done') return report
      throw errorOf(report, frame.steps(), options.advise)
    },
    becomes: () => {
      const report = readReportOrEnd(native, reportFd, frame)
      close(native, reportFd)
      if (report === undefined) return
      waitForPid(native, pid)
      throw errorOf(report, frame.steps(), options.advise)
    },
  }
}

/** The last report of a plan. */
export function finish({ next }: Running): Report {
  for (;;) {
    const report = next()
    if (report.kind !== 'progress') return report
  }
}

/** Runs a plan to its end; throws the error of its first failed step. */
export const runPlan = (native: Native, plan: Plan, options: RunOptions = {}): Report =>
  finish(startPlan(native, plan, options))

/** Undefined if nothing comes any more. */
function readReportOrEnd(native: Native, fd: number, filled: Filled): Report | undefined {
  const hasReport = ((poll(native, [{ fd, events: POLLIN }])?.[0] ?? 0) & POLLIN) !== 0
  return hasReport ? readReport(native, fd, filled) : undefined
}

function readReport(native: Native, fd: number, filled: Filled): Report {
  const head = readExactly(native, fd, REPORT_HEADER_BYTES)
  const total = reportBytes(head)
  const frame = new Uint8Array(total)
  frame.set(head)
  if (total > head.length) frame.set(readExactly(native, fd, total - head.length), head.length)
  return parseReport(frame, filled)
}

function readExactly(native: Native, fd: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count)
  let got = 0
  while (got < count) {
    const n = read(native, fd, bytes.subarray(got))
    if (n === 0) {
      throw new OperationError({
        kind: 'kernel',
        operation: 'run the plan',
        reason: 'the executor ended without a report: it was killed',
        hint: 'run the same command again; `delete --force` removes what is left of the container',
      })
    }
    got += n
  }
  return bytes
}
