/** The monitor of a container, while it listens: from before its program begins until all behind its end is done. */

import { OperationError } from '../base/errors.ts'
import { close } from '../executor/embedded-files.ts'
import { connectUnix } from '../executor/embedded-sockets.ts'
import { attachPath, type Engine } from './place.ts'

/** A connection to the monitor that listens, or will once it runs. */
export const connect = (engine: Pick<Engine, 'machine'>, id: string): number =>
  connectUnix(engine.machine.native, attachPath(engine, id))

/** Undefined if there is no monitor. */
export function connectIfListening(engine: Pick<Engine, 'machine'>, id: string): number | undefined {
  try {
    return connect(engine, id)
  } catch (error) {
    if (error instanceof OperationError && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')) return undefined
    throw error
  }
}

/** Whether somebody is about to write down how it ended, or to start it. */
export function isWatched(engine: Pick<Engine, 'machine'>, id: string): boolean {
  const socket = connectIfListening(engine, id)
  if (socket === undefined) return false
  close(engine.machine.native, socket)
  return true
}
