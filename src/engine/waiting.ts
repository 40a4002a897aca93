/** `waiting`: which process is about to start a container again; the line of /proc/PID/stat, as of `init` below the run root. */

import { OperationError } from '../base/errors.ts'
import { remove, replaceFile } from '../executor/embedded-files.ts'
import { isAlive, parseProcessStat } from '../observe/process.ts'
import { containerPath, type Engine } from './place.ts'

export const waitingPath = (engine: Engine, id: string): string => `${containerPath(engine, id)}/waiting`

/** This process will start it again, or find that it may not; then it ends, and so the waiting. On a full disk nobody hears of it. */
export function beginWaiting(engine: Engine, id: string): void {
  const { native, files } = engine.machine
  const path = waitingPath(engine, id)
  try {
    replaceFile(native, { path, temporary: `${path}.new`, text: files.readText(OWN) ?? '', mode: 0o600 })
  } catch (error) {
    // It may be removed at any time.
    if (!(error instanceof OperationError) || !['exhausted', 'missing'].includes(error.kind)) throw error
  }
}

/** Nobody will; who did start it leaves that to the next end, as it is of another process by then. */
export function endWaiting(engine: Engine, id: string): void {
  remove(engine.machine.native, waitingPath(engine, id))
}

const OWN = '/proc/self/stat'

/** A process that was killed does not wait any more, whatever its file says. */
export function isAwaitingRestart(engine: Engine, id: string): boolean {
  const { files } = engine.machine
  const text = files.readText(waitingPath(engine, id))
  return text !== undefined && text !== '' && isAlive(files, parseProcessStat(text))
}
