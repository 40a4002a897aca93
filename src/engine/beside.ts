/**
 * Processes of coffer beside a container (plan/network-beside.ts). Each holds a lock on a file, so that everybody sees whether it lives, and
 * which process it is. fcntl(2)
 */

import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close, openIfThere, remove } from '../executor/embedded-files.ts'
import { F_GETLK, F_WRLCK, FLOCK_PID, flockOf, O_RDWR } from '../linux/files.ts'
import { type Signal, signalNumber } from '../linux/signals.ts'
import type { Engine } from './place.ts'

type Machine = Pick<Engine, 'machine'>

/** Answers undefined if there is no such file. */
function withFile<Result>(
  { machine: { native } }: Machine,
  path: string,
  body: (fd: number) => Result,
): Result | undefined {
  const fd = openIfThere(native, path, O_RDWR)
  if (fd === undefined) return undefined
  try {
    return body(fd)
  } finally {
    close(native, fd)
  }
}

/** 0 for nobody. */
function holderOf(native: Native, fd: number): number {
  const lock = flockOf(F_WRLCK)
  const F_UNLCK = 2
  if (attempt(native, 'fcntl', fd, F_GETLK, lock) < 0 || lock[0] === F_UNLCK) return 0
  return new DataView(lock.buffer).getInt32(FLOCK_PID, true)
}

export const lives = (engine: Machine, path: string): boolean =>
  (withFile(engine, path, (fd) => holderOf(engine.machine.native, fd)) ?? 0) > 0

/** Sends a signal to the one that lives, and waits at most so long for its end. */
export function endBeside(engine: Machine, path: string, { signal, waitMs = 0 }: Ending): void {
  const { native } = engine.machine
  withFile(engine, path, (fd) => {
    const pid = holderOf(native, fd)
    const pidfd = pid > 0 ? attempt(native, 'pidfd_open', pid, 0) : -1
    if (pidfd < 0) return
    // The pid is that of the holder still, once it is held on to.
    if (holderOf(native, fd) === pid) {
      if (signal !== undefined) attempt(native, 'pidfd_send_signal', pidfd, signalNumber(signal), null, 0)
      if (waitMs > 0) poll(native, [{ fd: pidfd, events: POLLIN }], waitMs)
    }
    close(native, pidfd)
  })
}

export interface Ending {
  readonly signal?: Signal
  readonly waitMs?: number
}

/** Kills it, if it lives, and takes its file away. */
export function killBeside(engine: Machine, path: string): void {
  endBeside(engine, path, { signal: 'SIGKILL' })
  remove(engine.machine.native, path)
}
