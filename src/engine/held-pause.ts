/** A container that stands still while a command needs it to: who was killed meanwhile does not leave it so. */

import { freezeContainer, thawContainer } from '../container/freeze.ts'
import { close, lock, open, remove, tryLock } from '../executor/embedded-files.ts'
import { O_CREAT, O_RDWR } from '../linux/files.ts'
import { readEngineContainer } from './containers.ts'
import { containerPath, type Engine } from './place.ts'

/** Whose lock is held as long as somebody needs the pause; it goes with the process. flock(2) */
const pathOf = (engine: Engine, id: string): string => `${containerPath(engine, id)}/pausing`

export function whilePaused<Result>(engine: Engine, id: string, body: () => Result): Result {
  const { machine } = engine
  const fd = open(machine.native, pathOf(engine, id), O_RDWR | O_CREAT, 0o600)
  try {
    lock(machine.native, fd)
    freezeContainer(machine, id)
    try {
      return body()
    } finally {
      thawContainer(machine, id)
    }
  } finally {
    remove(machine.native, pathOf(engine, id))
    close(machine.native, fd)
  }
}

/** Lets one go on whose command is gone. Answers whether there was something to do. */
export function mendPause(engine: Engine, id: string): boolean {
  const { machine } = engine
  if (machine.files.status(pathOf(engine, id)) === undefined) return false
  const fd = open(machine.native, pathOf(engine, id), O_RDWR | O_CREAT, 0o600)
  try {
    if (!tryLock(machine.native, fd)) return false
    if (readEngineContainer(engine, id)?.status === 'paused') thawContainer(machine, id)
    remove(machine.native, pathOf(engine, id))
    return true
  } finally {
    close(machine.native, fd)
  }
}
