/** Who does several steps that belong together holds the lock of the directory that they are about; it goes with the process. flock(2) */

import { close, lock, open } from '../executor/embedded-files.ts'
import { O_DIRECTORY, O_RDONLY } from '../linux/files.ts'
import { containerPath, type Engine, namesDirectory } from './place.ts'

/** One command at a time changes whether a container runs: who starts it, cleans up behind it, or removes it. */
export const withContainerLock = <Result>(engine: Engine, id: string, body: () => Result): Result =>
  withLock(engine, containerPath(engine, id), body)

/** While it is held nobody else is between a name and its record. */
export const withNamesLock = <Result>(engine: Engine, body: () => Result): Result =>
  withLock(engine, namesDirectory(engine), body)

function withLock<Result>({ machine: { native } }: Engine, directory: string, body: () => Result): Result {
  const fd = open(native, directory, O_RDONLY | O_DIRECTORY[native.architecture])
  try {
    lock(native, fd)
    return body()
  } finally {
    close(native, fd)
  }
}
