/** `waiting`: which process is about to start a container again; the line of /proc/PID/stat, as of `init` below the run root. */

import { isAlive, parseProcessStat } from '../observe/process.ts'
import { containerPath, type Engine } from './place.ts'

export const waitingPath = (engine: Engine, id: string): string => `${containerPath(engine, id)}/waiting`

/** A process that was killed does not wait any more, whatever its file says. */
export function isAwaitingRestart(engine: Engine, id: string): boolean {
  const { files } = engine.machine
  const text = files.readText(waitingPath(engine, id))
  return text !== undefined && text !== '' && isAlive(files, parseProcessStat(text))
}
