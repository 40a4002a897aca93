/** run: create, start, wait and remove in one plan, with the caller's terminal and signals passed on meanwhile. */

import { close } from '../executor/embedded-files.ts'
import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import { socketPair } from '../executor/embedded-sockets.ts'
import { runPlan, startPlan } from '../executor/run-embedded.ts'
import { INIT_PID } from '../plan/slots.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { type CreateRequest, planFor } from './create.ts'
import { attend, holdSignals } from './foreground.ts'
import type { Machine } from './machine.ts'

export interface RunOptions {
  /** Return once the program runs. */
  readonly detach: boolean
  /** Leave the record of the ended container for `state` and `delete`. */
  readonly keep: boolean
}

/** Answers the exit status of the program, or 128 and the signal that ended it; 0 if it runs on detached. */
export function runContainer(machine: Machine, request: CreateRequest, { detach, keep }: RunOptions): number {
  if (detach) {
    const { plan, options } = planFor(machine, request, { ending: 'detach', keep })
    runPlan(machine.native, plan, options)
    return 0
  }
  const { native } = machine
  const needsConsole = request.config.process.terminal && request.consoleSocket === undefined
  const [ours, theirs] = needsConsole ? socketPair(native) : []
  const { plan, options } = planFor(machine, request, {
    ending: 'wait',
    keep,
    ...(theirs === undefined ? {} : { console: theirs }),
  })
  const signals = holdSignals(native)
  const running = startPlan(native, plan, options)
  if (theirs !== undefined) close(native, theirs)
  const report = attend(native, running, { signals, console: ours, pid: (progress) => progress.slot(INIT_PID) })
  return exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer)))
}
