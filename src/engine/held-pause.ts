/** A container that stands still while a command needs it to: who was killed meanwhile does not leave it so. */

import { freezeContainer, thawContainer } from '../container/freeze.ts'
import { mustUnless } from '../executor/embedded-call.ts'
import { close, lock, open, remove, tryLock, writeText } from '../executor/embedded-files.ts'
import { AT_FDCWD, O_CLOEXEC, O_CREAT, O_RDWR } from '../linux/files.ts'
import { isAlive, parseProcessStat } from '../observe/process.ts'
import { readEngineContainer } from './containers.ts'
import { containerPath, type Engine } from './place.ts'

/** Says who needs the pause, by the line of /proc/PID/stat; its lock is held by that process, and by the executor that it has. flock(2) */
const pathOf = (engine: Engine, id: string): string => `${containerPath(engine, id)}/pausing`

export const whilePaused = <Result>(engine: Engine, id: string, body: () => Result): Result =>
  alone(engine, id, (fd) => {
    const { machine } = engine
    freezeContainer(machine, id, [fd])
    try {
      return body()
    } finally {
      thawContainer(machine, id)
    }
  })

/** From now on. Neither begins while a command needs the container to stand still, or it would go on too early, or not at all. */
export const pauseContainer = (engine: Engine, id: string): void =>
  alone(engine, id, (fd) => freezeContainer(engine.machine, id, [fd]))

export const resumeContainer = (engine: Engine, id: string): void =>
  alone(engine, id, () => thawContainer(engine.machine, id))

function alone<Result>(engine: Engine, id: string, body: (fd: number) => Result): Result {
  const { native, files } = engine.machine
  const path = pathOf(engine, id)
  for (;;) {
    const fd = open(native, path, O_RDWR | O_CREAT, 0o600)
    try {
      lock(native, fd)
      // Whoever had it has removed the file: it is the lock of nothing.
      if (!isAt(engine, fd, path)) continue
      try {
        writeText(native, fd, files.readText('/proc/self/stat') ?? '')
        return body(fd)
      } finally {
        remove(native, path)
      }
    } finally {
      close(native, fd)
    }
  }
}

const isAt = ({ machine: { files } }: Engine, fd: number, path: string): boolean =>
  files.status(path)?.identity === files.status(`/proc/self/fd/${fd}`)?.identity

/** What is not written yet is about to be. */
function isNeeded({ machine: { files } }: Engine, path: string): boolean {
  const text = files.readText(path) ?? ''
  return text === '' || isAlive(files, parseProcessStat(text))
}

/** Lets one go on whose command is gone. Answers whether there was something to do. */
export function mendPause(engine: Engine, id: string): boolean {
  const { machine } = engine
  const { native } = machine
  const path = pathOf(engine, id)
  const operation = `open ${path}`
  const fd = mustUnless({ native, operation, expected: ['ENOENT'] }, 'openat', AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0)
  if (fd === undefined) return false
  try {
    if (!tryLock(native, fd)) {
      if (isNeeded(engine, path)) return false
      // Of who was killed the executor ends at any moment.
      lock(native, fd)
    }
    if (!isAt(engine, fd, path)) return false
    if (readEngineContainer(engine, id)?.status === 'paused') thawContainer(machine, id)
    remove(native, path)
    return true
  } finally {
    close(native, fd)
  }
}
