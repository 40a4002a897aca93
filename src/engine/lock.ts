/** Who does several steps that belong together holds the lock of the directory that they are about; it goes with the process. flock(2) */

import { OperationError } from '../base/errors.ts'
import { mustUnless } from '../executor/embedded-call.ts'
import { close, lock, makeDirectories, tryLock } from '../executor/embedded-files.ts'
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY } from '../linux/files.ts'
import { containerPath, type Engine, namesDirectory } from './place.ts'

/**
 * One command at a time changes whether a container runs: who starts it, cleans up behind it, or removes it. Throws `missing` if there is no
 * such container, also once whoever had the lock has removed it.
 */
export function withContainerLock<Result>(engine: Engine, id: string, body: () => Result): Result {
  const held = withLock(engine, containerPath(engine, id), lock, body)
  if (held !== undefined) return held.result
  throw new OperationError({ kind: 'missing', operation: `find container ${id}`, reason: `No such container: ${id}` })
}

/** Undefined, and nothing done, if somebody has it, or it is gone. */
export const tryContainerLock = <Result>(engine: Engine, id: string, body: () => Result): Result | undefined =>
  withLock(engine, containerPath(engine, id), tryLock, body)?.result

/** While it is held nobody else is between a name and its record. */
export function withNamesLock<Result>(engine: Engine, body: () => Result): Result {
  if (engine.foreseen !== undefined) return body()
  const { files, native } = engine.machine
  const directory = namesDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o711)
  const held = withLock(engine, directory, lock, body)
  if (held !== undefined) return held.result
  throw new OperationError({ kind: 'missing', operation: `lock ${directory}`, reason: 'somebody has removed it' })
}

const held: number[] = []

/**
 * The descriptors of the locks that this process holds, for an executor. A lock is free when the last process that has it is gone: the kernel
 * closes the files of one that was killed before it sends the signal that its executor asked for, which works on until then.
 */
export const heldLocks = (): readonly number[] => held

/** Undefined if it was not taken, or if the directory is gone, which it may be by the time that the lock is free. */
function withLock<Result>(
  { machine: { native, files } }: Engine,
  directory: string,
  take: typeof lock | typeof tryLock,
  body: () => Result,
): { readonly result: Result } | undefined {
  const flags = O_RDONLY | O_CLOEXEC | O_DIRECTORY[native.architecture]
  const operation = `open ${directory}`
  const fd = mustUnless({ native, operation, expected: ['ENOENT'] }, 'openat', AT_FDCWD, directory, flags, 0)
  if (fd === undefined) return undefined
  try {
    if (take(native, fd) === false) return undefined
    if (files.status(directory)?.identity !== files.status(`/proc/self/fd/${fd}`)?.identity) return undefined
    held.push(fd)
    try {
      return { result: body() }
    } finally {
      held.pop()
    }
  } finally {
    close(native, fd)
  }
}
