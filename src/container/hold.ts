/**
 * The directory of a container, held by a descriptor: what is reached through it is never that of another one that has got the name.
 *
 * Who removes a container, or changes its record, also locks it: there is one at a time, and the name cannot be given to another one meanwhile,
 * so that what is at its paths is still that of the container that was looked at. A plan that ends with a removal holds it as well
 * (plan/state.ts). flock(2)
 */

import { attempt, failure } from '../executor/embedded-call.ts'
import { close, lock } from '../executor/embedded-files.ts'
import { errnoNumber } from '../linux/errno.ts'
import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY } from '../linux/files.ts'
import type { Machine } from './machine.ts'
import { checkId, containerDirectory } from './store.ts'

/** The descriptor that holds it, which the executor is given as well; undefined if there is none, or none any more once whoever had it is done. */
export function holdContainer(machine: Machine, id: string): number | undefined {
  const fd = openContainer(machine, id)
  if (fd === undefined) return undefined
  lock(machine.native, fd)
  if (isThere(machine, id, fd)) return fd
  close(machine.native, fd)
  return undefined
}

/** Its directory; undefined if there is none. What was read from its paths since is its own if it `isThere` behind that. */
export function openContainer(machine: Machine, id: string): number | undefined {
  const { native } = machine
  checkId(id)
  const path = containerDirectory(machine, id)
  const fd = attempt(native, 'openat', AT_FDCWD, path, O_DIRECTORY[native.architecture] | O_CLOEXEC, 0)
  if (fd === -errnoNumber('ENOENT') || fd === -errnoNumber('ENOTDIR')) return undefined
  if (fd < 0) throw failure(`open ${path}`, 'openat', fd)
  return fd
}

/** Whether the directory that was opened is still that of the name. */
export const isThere = (machine: Machine, id: string, fd: number): boolean =>
  machine.files.status(containerDirectory(machine, id))?.identity ===
  machine.files.status(`/proc/self/fd/${fd}`)?.identity
