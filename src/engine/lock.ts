/** Who does several steps that belong together holds the lock of the directory that they are about; it goes with the process. flock(2) */

import { close, lock, makeDirectories, open, tryLock } from '../executor/embedded-files.ts'
import { O_DIRECTORY, O_RDONLY } from '../linux/files.ts'
import { containerPath, type Engine, namesDirectory } from './place.ts'

/** One command at a time changes whether a container runs: who starts it, cleans up behind it, or removes it. */
export const withContainerLock = <Result>(engine: Engine, id: string, body: () => Result): Result =>
  withLock(engine, containerPath(engine, id), lock, body) as Result

/** Undefined, and nothing done, if somebody has it. */
export const tryContainerLock = <Result>(engine: Engine, id: string, body: () => Result): Result | undefined =>
  withLock(engine, containerPath(engine, id), tryLock, body)

/** While it is held nobody else is between a name and its record. */
export function withNamesLock<Result>(engine: Engine, body: () => Result): Result {
  const { files, native } = engine.machine
  const directory = namesDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o711)
  return withLock(engine, directory, lock, body) as Result
}

const held: number[] = []

/**
 * The descriptors of the locks that this process holds, for an executor. A lock is free when the last process that has it is gone: the kernel
 * closes the files of one that was killed before it sends the signal that its executor asked for, which works on until then.
 */
export const heldLocks = (): readonly number[] => held

function withLock<Result>(
  { machine: { native } }: Engine,
  directory: string,
  take: typeof lock | typeof tryLock,
  body: () => Result,
): Result | undefined {
  const fd = open(native, directory, O_RDONLY | O_DIRECTORY[native.architecture])
  try {
    if (take(native, fd) === false) return undefined
    held.push(fd)
    try {
      return body()
    } finally {
      held.pop()
    }
  } finally {
    close(native, fd)
  }
}
