/** Containers as the run root and the kernel show them now: the status is never stored, it is seen. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { hasEnded, type ProcessIdentity, parseProcessStat, readProcessStat } from '../observe/process.ts'
import { WAY_FILE } from '../plan/cgroup-parents.ts'
import { FIFO_FILE, INIT_FILE, STATE_FILE, stateDirectory } from '../plan/state.ts'
import { isFrozen } from './frozen.ts'
import type { Machine } from './machine.ts'
import { PLANS_DIRECTORY } from './plan-cache.ts'
import { parseBeginning, parseRecord, READ_RECORD, type StateRecord } from './record.ts'

/**
 * | status     | means                                                                   |
 * |------------|-------------------------------------------------------------------------|
 * | `creating` | the name is taken, init is not there; for long only if a create was killed |
 * | `created`  | init waits for `start`                                                  |
 * | `running`  | the program runs                                                        |
 * | `paused`   | its cgroup is frozen                                                    |
 * | `stopped`  | init has ended                                                          |
 */
export type Container =
  | (Known & { readonly status: 'creating'; readonly record: StateRecord | undefined })
  | (Known & {
      readonly status: 'created' | 'running' | 'paused'
      readonly record: StateRecord
      readonly init: ProcessIdentity
    })
  | (Known & { readonly status: 'stopped'; readonly record: StateRecord })

interface Known {
  readonly id: string
  /** Its directory below the run root. */
  readonly directory: string
}

export type LiveContainer = Extract<Container, { readonly init: ProcessIdentity }>

/** Names below the run root that are no containers: kept plans, sockets of monitors, networks of containers, the last failure, and a lock. */
export const ATTACH_DIRECTORY = '.attach'
export const NETWORKS_DIRECTORY = '.netns'
export const LAST_FILE = '.last-failure'
const RESERVED = [WAY_FILE, PLANS_DIRECTORY, ATTACH_DIRECTORY, NETWORKS_DIRECTORY, LAST_FILE]

const isId = (id: string): boolean =>
  /^[\w+.-]+$/.test(id) && id !== '.' && id !== '..' && !RESERVED.includes(id) && id.length <= 255

/** Throws `invalid` for what cannot be a name, as it becomes a directory and a cgroup. */
export function checkId(id: string): void {
  if (isId(id)) return
  throw new OperationError({
    kind: 'invalid',
    operation: 'use this container id',
    reason: `invalid container ID format: ${JSON.stringify(id)}`,
    hint: 'use letters, digits, "_", "+", "-" and ".", at most 255 of them',
  })
}

/** Throws `missing` with the words that clients look for. */
export function findContainer(files: Files, root: string, id: string): Container {
  checkId(id)
  const found = readContainer(files, root, id)
  if (found !== undefined) return found
  throw missingContainer(root, id)
}

export const missingContainer = (root: string, id: string): OperationError =>
  new OperationError({
    kind: 'missing',
    operation: `find container ${id}`,
    reason: 'container does not exist',
    hint: `the containers below ${root} are listed by: coffer-runc --root ${root} list`,
  })

/** Where coffer keeps what it knows of a container; it exists from the moment the name is taken. */
export const containerDirectory = ({ root }: Pick<Machine, 'root'>, id: string): string => stateDirectory({ root, id })

/** All but the configuration, of what is usual. */
const BEGINNING_BYTES = 4096

export function readContainer(files: Files, root: string, id: string): Container | undefined {
  const directory = stateDirectory({ root, id })
  const path = `${directory}/${STATE_FILE}`
  const init = recordedInit(files, directory)
  // What is there when init is, was written whole before.
  const text = files.readText(path, init === undefined ? undefined : BEGINNING_BYTES)
  if (text === undefined || text === '')
    return files.status(directory)?.kind === 'directory' ? creating(id, directory) : undefined
  if (init === undefined) return { id, directory, status: 'creating', record: recordSoFar(text, path) }
  const record = parseBeginning(text, () => files.readText(path), path)
  const { pid, startTime } = init
  const now = readProcessStat(files, pid)
  if (now === undefined || now.startTime !== startTime || hasEnded(now))
    return { id, directory, status: 'stopped', record }
  return { id, directory, status: liveStatus(files, directory, record), record, init: { pid, startTime } }
}

/** Before init is there, who writes it may be at it, or was killed meanwhile: then nothing else has been made. */
function recordSoFar(text: string, path: string): StateRecord | undefined {
  try {
    return parseRecord(text, path)
  } catch (error) {
    if (isTorn(error)) return undefined
    throw error
  }
}

/** Who init is or was; undefined before it is known. */
export function recordedInit(files: Files, directory: string): ProcessIdentity | undefined {
  const text = files.readText(`${directory}/${INIT_FILE}`)
  return text === undefined || text === '' ? undefined : parseProcessStat(text)
}

function liveStatus(files: Files, directory: string, record: StateRecord): 'created' | 'running' | 'paused' {
  // As in runc, one that is paused before it was started is paused first of all: it cannot be started.
  if (isFrozen(files, record.cgroup.paths)) return 'paused'
  return files.status(`${directory}/${FIFO_FILE}`) === undefined ? 'running' : 'created'
}

const creating = (id: string, directory: string): Container => ({
  id,
  directory,
  status: 'creating',
  record: undefined,
})

/** As readContainer; a state that is not whole does not keep its container from being removed. */
export function readRemains(files: Files, root: string, id: string): Container | undefined {
  try {
    return readContainer(files, root, id)
  } catch (error) {
    if (!isTorn(error)) throw error
    return creating(id, stateDirectory({ root, id }))
  }
}

/** One whose state is not whole is left out with a warning, as by runc: it must not hide the others. */
export function listContainers(files: Files, root: string, warn: (text: string) => void): readonly Container[] {
  const names = files.list(root) ?? []
  return [...names].sort().flatMap((id) => {
    try {
      const found = isId(id) ? readContainer(files, root, id) : undefined
      return found === undefined ? [] : [found]
    } catch (error) {
      if (!isTorn(error)) throw error
      warn(`${error.message}; coffer-runc delete --force ${id} removes it`)
      return []
    }
  })
}

const isTorn = (error: unknown): error is OperationError =>
  error instanceof OperationError && error.operation === READ_RECORD

/** The container, if it has an init; throws `conflict` with the words that clients look for if not. */
export function liveContainer(container: Container, operation: string): LiveContainer {
  if (container.status !== 'creating' && container.status !== 'stopped') return container
  throw new OperationError({
    kind: 'conflict',
    operation,
    reason: container.status === 'stopped' ? 'container not running' : 'container is being created',
    hint: `it is ${container.status}; see: coffer-runc state ${container.id}`,
  })
}
