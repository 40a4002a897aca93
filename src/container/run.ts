/** create; and run: create, start, wait and remove in one plan, with the caller's terminal and signals passed on meanwhile. */

import { close } from '../executor/embedded-files.ts'
import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import { socketPair } from '../executor/embedded-sockets.ts'
import { finish } from '../executor/run-embedded.ts'
import { INIT_PID } from '../plan/slots.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { type ConsoleChoice, checkConsole } from './console.ts'
import type { CreateRequest } from './create.ts'
import { finishRun } from './finish-run.ts'
import { attend, holdSignals } from './foreground.ts'
import type { Machine } from './machine.ts'
import { prepareContainer, started } from './prepare.ts'

export interface RunOptions {
  /** Return once the program runs. */
  readonly detach: boolean
  /** Leave the record of the ended container for `state` and `delete`. */
  readonly keep: boolean
}

/** Makes the container and leaves its init waiting for `start`. */
export function createContainer(machine: Machine, request: CreateRequest): void {
  checkConsole(consoleChoice(request, { detaches: true }))
  finish(started(machine, prepareContainer(machine, request, { ending: 'create', keep: false })))
}

/** Answers the exit status of the program, or 128 and the signal that ended it; 0 if it runs on detached. */
export function runContainer(machine: Machine, request: CreateRequest, { detach, keep }: RunOptions): number {
  const { native } = machine
  checkConsole(consoleChoice(request, { detaches: detach }))
  if (detach) {
    finish(started(machine, prepareContainer(machine, request, { ending: 'detach', keep })))
    return 0
  }
  const needsConsole = request.consoleSocket === undefined && asksForTerminal(request)
  const [ours, theirs] = needsConsole ? socketPair(native) : []
  const prepared = prepareContainer(machine, request, { ending: 'wait', keep, console: theirs })
  const signals = holdSignals(native)
  const running = started(machine, prepared)
  if (theirs !== undefined) close(native, theirs)
  const report = attend(native, running, { signals, console: ours, pid: (progress) => progress.slot(INIT_PID) })
  if (!keep) finishRun(machine, request, prepared, report)
  return exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer)))
}

const consoleChoice = (request: CreateRequest, { detaches }: Pick<ConsoleChoice, 'detaches'>): ConsoleChoice => ({
  operation: `make container ${request.id}`,
  terminal: () => asksForTerminal(request),
  consoleSocket: request.consoleSocket,
  detaches,
})

/** Most configurations ask for none, and those need not be parsed to know it. */
const asksForTerminal = ({ configText, config }: CreateRequest): boolean =>
  configText().includes('"terminal"') && !/"terminal":\s*false/.test(configText()) && config().process.terminal
