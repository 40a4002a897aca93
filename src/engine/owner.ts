/**
 * The files of containers belong to many ids, of which a user without privilege has only its own. What is done with them is done by a process in
 * a user namespace with the ids of the containers, as their root: plan/owner.ts. Privilege over the machine needs none of that.
 */

import { bug, OperationError } from '../base/errors.ts'
import { advise } from '../container/advise.ts'
import { hostOf } from '../container/host.ts'
import type { Machine } from '../container/machine.ts'
import { ownIds } from '../container/own-ids.ts'
import { must } from '../executor/embedded-call.ts'
import { close, pipe, read, writeText } from '../executor/embedded-files.ts'
import { effectiveIds, exit, waitForPid } from '../executor/embedded-process.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { fieldsOf, runHere } from '../executor/run-here.ts'
import { SIGCHLD } from '../linux/process.ts'
import { isInitialUserNamespace } from '../observe/host.ts'
import { planOwner } from '../plan/owner.ts'
import type { Engine } from './place.ts'

/** Root, of the machine or of a user namespace, has the ids that its containers have. */
const isOwner = ({ native }: Machine): boolean => effectiveIds(native).uid === 0

/** Whether this process sees ids as its containers do: it is root of a user namespace with theirs. */
export const hasIdsOfContainers = (machine: Machine): boolean =>
  isOwner(machine) && !isInitialUserNamespace(machine.files)

/** This process, for good: it has no say any more over the processes of containers. */
export function becomeOwner(machine: Machine): void {
  if (isOwner(machine)) return
  enterOwnUser(machine)
}

/** This process, for good, is the root of a new user namespace with the ids of containers. */
export function enterOwnUser(machine: Machine): void {
  const host = hostOf(machine)
  const { uidMappings, gidMappings } = ownIds(machine, host)
  const hints = advise(machine, () => ({ namespaces: [{ type: 'user' }], root: '/' }))
  const plan = planOwner({ uid: uidMappings, gid: gidMappings, canMapIds: host.canMapIds })
  runHere(machine.native, plan, { advise: hints })
}

/** Runs `body` in a process that owns the files of containers. Its result comes back as JSON, its errors as they are. */
export function asOwner<Result>({ machine }: Pick<Engine, 'machine'>, body: () => Result): Result {
  if (isOwner(machine)) return body()
  const { native } = machine
  const { readEnd, writeEnd } = pipe(native)
  const child = must(native, 'make a process that owns the files', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) answer(machine, writeEnd, body)
  close(native, writeEnd)
  const text = readAll(machine, readEnd)
  close(native, readEnd)
  waitForPid(native, child)
  const { result, error } = JSON.parse(text === '' ? '{}' : text)
  if (error !== undefined) throw new OperationError(error)
  if (text === '') throw bug('a process that owns the files of containers was killed')
  return result
}

function answer(machine: Machine, to: number, body: () => unknown): never {
  const { native } = machine
  let text: string
  try {
    becomeOwner(machine)
    text = JSON.stringify({ result: body() })
  } catch (error) {
    text = JSON.stringify({ error: fieldsOf(error) })
  }
  writeText(native, to, text)
  exit(native, 0)
}

function readAll({ native }: Machine, fd: number): string {
  const pieces: Uint8Array[] = []
  for (;;) {
    const bytes = new Uint8Array(65_536)
    const length = read(native, fd, bytes)
    if (length === 0) break
    pieces.push(bytes.subarray(0, length))
  }
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return native.decode(all, 0, all.length)
}

/** Removes trees that containers may have written to. */
export function removeOwned(engine: Pick<Engine, 'machine'>, paths: readonly string[]): void {
  if (paths.length === 0) return
  asOwner(engine, () => {
    for (const path of paths) removeTree(engine.machine.native, path)
  })
}
