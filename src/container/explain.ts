/** The plan of a bundle, for explain: as it would be run, and as it ran. */

import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import type { TraceEntry } from '../executor/report.ts'
import { startFrame } from '../executor/run-embedded.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Plan } from '../plan/plan.ts'
import type { Ending } from '../plan/request.ts'
import { INIT_PID } from '../plan/slots.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { type CreateRequest, planFor } from './create.ts'
import { finishRun } from './finish-run.ts'
import { attend, holdSignals } from './foreground.ts'
import type { Machine } from './machine.ts'
import { prepareTraced } from './prepare.ts'

export interface Explained {
  readonly plan: Plan
  readonly architecture: Architecture
}

/** Reads the machine, changes nothing. */
export function explainContainer(machine: Machine, request: CreateRequest, ending: Ending): Explained {
  const { plan, host, warnings } = planFor(machine, request, { ending, keep: false })
  for (const text of warnings) request.warn(text)
  return { plan, architecture: host.architecture }
}

export interface RanPlan extends Explained {
  readonly trace: readonly TraceEntry[]
  /** The exit status of the container. */
  readonly status: number
}

/** Runs it as `run` does, with a new plan, recording each step. */
export function runExplained(machine: Machine, request: CreateRequest): RanPlan {
  const { native } = machine
  const prepared = prepareTraced(machine, request)
  const { plan, host } = prepared
  const signals = holdSignals(native)
  const running = startFrame(native, prepared.frame, prepared.options)
  const report = attend(native, running, { signals, pid: (progress) => progress.slot(INIT_PID) })
  finishRun(machine, request, prepared, report)
  return {
    plan,
    architecture: host.architecture,
    trace: report.trace,
    status: exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer))),
  }
}
