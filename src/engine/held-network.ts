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
import { PR_SET_DUMPABLE, SIGCHLD } from '../linux/process.ts'
import type { Intent, NamespaceChoice } from './intent.ts'
import { enterOwnUser } from './owner.ts'
import { type Engine, networkFile } from './place.ts'

export interface HeldNetwork {
  readonly pid: number
  /** Nobody joins by the pid any more. */
  readonly release: () => void
}

export interface Held {
  /** Of the container whose namespaces are joined; else a new one with the same ids. */
  readonly user: Intent['namespaces']['user']
  /** Its path; a new one if undefined. */
  readonly network?: string | undefined
  /** Runs inside, as root of the user namespace. */
  readonly prepare?: (() => void) | undefined
}

export function holdNetwork(engine: Pick<Engine, 'machine'>, held: Held): HeldNetwork {
  const { native } = engine.machine
  if (held.user.kind === 'path' && held.network === undefined) refuseWatched(engine, held.user.path)
  const [ready, go] = [pipe(native), pipe(native)]
  const pid = must(native, 'make a process that keeps the namespaces', 'clone', SIGCHLD, 0, null, null, 0)
  if (pid === 0) {
    close(native, go.writeEnd)
    try {
      enter(engine, held)
      held.prepare?.()
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

function enter({ machine }: Pick<Engine, 'machine'>, { user, network }: Held): void {
  const { native } = machine
  // Whoever joins what is there is looked into by nobody, and nobody finds namespaces by it then. proc_pid_ns(5)
  if (network !== undefined) must(native, 'be left alone by others', 'prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)
  const [userFd, networkFd] = [user.kind === 'path' ? user.path : undefined, network].map((path) =>
    path === undefined ? undefined : open(native, path, O_RDONLY),
  )
  if (userFd === undefined) enterOwnUser(machine)
  else must(native, 'join the user namespace', 'setns', userFd, CLONE_NEWUSER)
  if (networkFd === undefined) must(native, 'have a network namespace', 'unshare', CLONE_NEWNET)
  else must(native, 'join the network namespace', 'setns', networkFd, CLONE_NEWNET)
}

/** A process of ours in the user namespace of a container is that container's to trace, if it sees it. ptrace(2) */
function refuseWatched({ machine: { files } }: Pick<Engine, 'machine'>, user: string): void {
  if (files.readLink(user.replace(/user$/, 'pid')) !== files.readLink('/proc/self/ns/pid')) return
  throw new OperationError({
    kind: 'unsupported',
    operation: 'connect the container',
    reason: 'it shares namespaces with one that sees the processes of this machine (--pid host)',
    hint: 'use --network none, or container:NAME for the network of that one',
  })
}

const missingHolder = (): OperationError =>
  new OperationError({ kind: 'conflict', operation: 'keep the namespaces', reason: 'the process for it was killed' })

const LINKS = ['net', 'user'] as const
const linkPath = (engine: Pick<Engine, 'machine'>, id: string, name: (typeof LINKS)[number]): string =>
  `${networkFile(engine, id)}.${name}`

type Spaces = Readonly<Record<'network' | 'user', NamespaceChoice>>

/** What a container has to join, until `release`. */
export interface HeldSpaces {
  readonly spaces: Spaces
  readonly release: () => void
}

/** Paths that differ between containers in their id alone, so that plans are kept: container/plan-cache.ts. */
export const heldPaths = (engine: Pick<Engine, 'machine'>, id: string): Spaces => ({
  network: { kind: 'path', path: linkPath(engine, id, 'net') },
  user: { kind: 'path', path: linkPath(engine, id, 'user') },
})

export function heldSpaces(engine: Pick<Engine, 'machine'>, id: string, { pid, release }: HeldNetwork): HeldSpaces {
  const { native } = engine.machine
  forgetHeld(engine, id)
  for (const name of LINKS) {
    const path = linkPath(engine, id, name)
    must(native, 'have a path for a namespace', 'symlinkat', `/proc/${pid}/ns/${name}`, AT_FDCWD, path)
  }
  return {
    spaces: heldPaths(engine, id),
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
