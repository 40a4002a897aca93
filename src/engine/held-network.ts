/**
 * A new network namespace below the user namespace of a container, kept by a process until the container has joined both.
 *
 *     RUNROOT/.netns/ID.net, .user    links to the namespaces of that process
 */

import { OperationError } from '../base/errors.ts'
import { must } from '../executor/embedded-call.ts'
import { close, open, pipe, read, remove, writeText } from '../executor/embedded-files.ts'
import { exit, waitForPid } from '../executor/embedded-process.ts'
import { fieldsOf } from '../executor/run-here.ts'
import { AT_FDCWD, O_RDONLY } from '../linux/files.ts'
import { CLONE_NEWNET, CLONE_NEWUSER } from '../linux/namespaces.ts'
import { SIGCHLD } from '../linux/process.ts'
import type { Intent, NamespaceChoice } from './intent.ts'
import { becomeOwner } from './owner.ts'
import { type Engine, networkFile } from './place.ts'

export interface HeldNetwork {
  readonly pid: number
  /** Nobody joins by the pid any more. */
  readonly release: () => void
}

type User = Intent['namespaces']['user']

/** `prepare` runs inside, as root of the user namespace: that of the container whose namespaces are joined, or a new one with the same ids. */
export function holdNetwork({ machine }: Pick<Engine, 'machine'>, user: User, prepare?: () => void): HeldNetwork {
  const { native } = machine
  const [ready, go] = [pipe(native), pipe(native)]
  const pid = must(native, 'make a process that keeps the namespaces', 'clone', SIGCHLD, 0, null, null, 0)
  if (pid === 0) {
    close(native, go.writeEnd)
    try {
      if (user.kind === 'path')
        must(native, 'join the user namespace', 'setns', open(native, user.path, O_RDONLY), CLONE_NEWUSER)
      else becomeOwner(machine)
      must(native, 'have a network namespace', 'unshare', CLONE_NEWNET)
      prepare?.()
      writeText(native, ready.writeEnd, '{}')
    } catch (error) {
      writeText(native, ready.writeEnd, JSON.stringify({ error: fieldsOf(error) }))
      exit(native, 1)
    }
    close(native, ready.writeEnd)
    read(native, go.readEnd, new Uint8Array(1))
    exit(native, 0)
  }
  close(native, ready.writeEnd)
  close(native, go.readEnd)
  const release = (): void => {
    close(native, go.writeEnd)
    waitForPid(native, pid)
  }
  const bytes = new Uint8Array(8192)
  const length = read(native, ready.readEnd, bytes)
  close(native, ready.readEnd)
  const { error } = JSON.parse(length === 0 ? '{}' : native.decode(bytes, 0, length))
  if (error === undefined && length > 0) return { pid, release }
  release()
  throw error === undefined ? missingHolder() : new OperationError(error)
}

const missingHolder = (): OperationError =>
  new OperationError({ kind: 'conflict', operation: 'keep the namespaces', reason: 'the process for it was killed' })

const LINKS = ['net', 'user'] as const
const linkPath = (engine: Pick<Engine, 'machine'>, id: string, name: (typeof LINKS)[number]): string =>
  `${networkFile(engine, id)}.${name}`

/** What a container has to join, until `release`. */
export interface HeldSpaces {
  readonly spaces: Readonly<Record<'network' | 'user', NamespaceChoice>>
  readonly release: () => void
}

/** By paths that differ between containers in their id alone, so that plans are kept: container/plan-cache.ts. */
export function heldSpaces(engine: Pick<Engine, 'machine'>, id: string, { pid, release }: HeldNetwork): HeldSpaces {
  const { native } = engine.machine
  forgetHeld(engine, id)
  const link = (name: (typeof LINKS)[number]): NamespaceChoice => {
    const path = linkPath(engine, id, name)
    must(native, 'have a path for a namespace', 'symlinkat', `/proc/${pid}/ns/${name}`, AT_FDCWD, path)
    return { kind: 'path', path }
  }
  return {
    spaces: { network: link('net'), user: link('user') },
    release: () => {
      forgetHeld(engine, id)
      release()
    },
  }
}

/** The links; whatever of them is there. */
export function forgetHeld(engine: Pick<Engine, 'machine'>, id: string): void {
  for (const name of LINKS) remove(engine.machine.native, linkPath(engine, id, name))
}
