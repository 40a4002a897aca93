/** Signals for the processes of a container. */

import { OperationError } from '../base/errors.ts'
import { attempt, failure } from '../executor/embedded-call.ts'
import { close } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { errnoNumber } from '../linux/errno.ts'
import { AT_FDCWD, O_CLOEXEC, O_WRONLY } from '../linux/files.ts'
import { parseSignal } from '../linux/signals.ts'
import { isAlive } from '../observe/process.ts'
import { planThaw } from '../plan/cgroup-freeze.ts'
import type { Machine } from './machine.ts'
import { readMembers } from './members.ts'
import { type Container, findContainer, type LiveContainer, readContainer } from './store.ts'

const SIGKILL = 9

export interface KillOptions {
  /** A number or a name, with or without SIG. */
  readonly signal: string
  readonly all: boolean
}

/** Throws `invalid` for an unknown signal and `conflict` for a container without init. */
export function killContainer(machine: Machine, id: string, { signal, all }: KillOptions): void {
  // Signal 0 only asks whether there is somebody to get one: kill(2).
  const number = signal === '0' ? 0 : parseSignal(signal)
  if (number === undefined) throw noSignal(id, signal)
  const container = findContainer(machine.files, machine.root, id)
  if (all) {
    killAll(machine, container, number)
    return
  }
  if (container.status === 'stopped' || container.status === 'creating') throw notRunning(container)
  signalInit(machine, container, number)
}

export const noSignal = (id: string, signal: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `send a signal to ${id}`,
    reason: `"${signal}" is no signal`,
    hint: 'give a number from 1 to 64 or a name such as TERM',
  })

const notRunning = ({ id, status }: Container): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: `send a signal to ${id}`,
    reason: 'container not running',
    hint: `it is ${status}`,
  })

/** By a descriptor that is opened first and checked then: a pid that was used again is never hit. pidfd_open(2) */
function signalInit(machine: Machine, container: LiveContainer, signal: number): void {
  const pidfd = openInit(machine, container)
  try {
    signalOpen(machine, container, { pidfd, signal })
  } finally {
    close(machine.native, pidfd)
  }
}

/** To the init that was opened, whatever has its pid or runs under the id by now; nothing if it has ended, and was waited for. */
export function signalOpen(
  machine: Machine,
  container: LiveContainer,
  { pidfd, signal }: { readonly pidfd: number; readonly signal: number },
): void {
  const result = attempt(machine.native, 'pidfd_send_signal', pidfd, signal, 0, 0)
  if (result < 0 && result !== -errnoNumber('ESRCH'))
    throw failure(`send a signal to ${container.id}`, 'pidfd_send_signal', result)
  if (signal === SIGKILL) letDie(machine, container)
}

/**
 * In cgroup v1 a frozen process does not even die: kernel:admin-guide/cgroup-v1/freezer-subsystem.rst. As in runc, SIGKILL thaws. It may have
 * been paused since it was looked at.
 */
function letDie({ native, files, root }: Machine, { id, init }: LiveContainer): void {
  const now = readContainer(files, root, id)
  if (now?.status !== 'paused' || now.init.startTime !== init.startTime) return
  runPlan(native, { operation: `let ${id} end`, steps: planThaw(now.record.cgroup) })
}

/** A descriptor of init, which beyond doubt is still the process that was recorded. Throws `conflict` if it has ended. */
export function openInit({ native, files }: Machine, { id, init }: LiveContainer): number {
  const pidfd = attempt(native, 'pidfd_open', init.pid, 0)
  if (pidfd >= 0 && isAlive(files, init)) return pidfd
  if (pidfd >= 0) attempt(native, 'close', pidfd)
  throw new OperationError({
    kind: 'conflict',
    operation: `reach the init process of ${id}`,
    reason: 'container not running: process already finished',
  })
}

/**
 * kernel:admin-guide/cgroup-v2.rst "cgroup.kill", since 5.14. Answers whether there is one. Who removes the container at the same time may
 * take the cgroup away before the opening (ENOENT), or behind it (ENODEV, ENOENT): then nobody is left in it.
 */
function killCgroup({ native }: Machine, directory: string | undefined): boolean {
  if (directory === undefined) return false
  const path = `${directory}/cgroup.kill`
  const fd = attempt(native, 'openat', AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0)
  if (fd === -errnoNumber('ENOENT')) return false
  if (fd < 0) throw failure(`open ${path}`, 'openat', fd)
  const written = attempt(native, 'write', fd, native.encode('1'), 1)
  close(native, fd)
  const isGone = written === -errnoNumber('ENODEV') || written === -errnoNumber('ENOENT')
  if (written < 0 && !isGone) throw failure(`write to ${path}`, 'write', written)
  return true
}

/**
 * Sends it to everything in the container's cgroup. SIGKILL goes through `cgroup.kill` where there is one, which a fork cannot outrun;
 * without it the list is read again until nobody new is in it.
 */
export function killAll(machine: Machine, container: Container, signal: number): void {
  const paths = container.record?.cgroup.paths ?? {}
  if (signal !== SIGKILL) {
    signalEach(machine, container, signal)
    return
  }
  if (!killCgroup(machine, paths[''])) signalEach(machine, container, signal)
  if (container.status === 'paused') letDie(machine, container)
}

function signalEach(machine: Machine, container: Container, signal: number): void {
  const seen = new Set<number>()
  for (let round = 0; round < 100; round++) {
    const fresh = readMembers(machine.files, container).filter((pid) => !seen.has(pid))
    if (fresh.length === 0) return
    for (const pid of fresh) {
      seen.add(pid)
      attempt(machine.native, 'kill', pid, signal)
    }
  }
}
