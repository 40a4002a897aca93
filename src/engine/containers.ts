/** The containers of the engine, as their files and the kernel show them now. */

import { OperationError } from '../base/errors.ts'
import { containerDirectory, readRemains, recordedInit } from '../container/store.ts'
import { isWatched } from './listening.ts'
import { containerPath, containersDirectory, type Engine, namesDirectory } from './place.ts'
import { type ContainerRecord, isTorn, parseRecord, RECORD_FILE } from './record.ts'
import { isStoppedByHand, nextRestart, ranMs, readRestarts } from './restart.ts'
import { isAwaitingRestart } from './waiting.ts'

/**
 * | status       | means                                                            |
 * |--------------|------------------------------------------------------------------|
 * | `created`    | it was never started                                             |
 * | `running`    | its first process lives, or its monitor has yet to tell how that ended |
 * | `paused`     | so it does, and is frozen                                        |
 * | `restarting` | it has ended, and a process waits for the time to start it again |
 * | `exited`     | it has ended; `exit` is undefined if nobody was there to see it  |
 */
export type EngineContainer = { readonly record: ContainerRecord } & (
  | { readonly status: 'created' }
  | {
      readonly status: 'running' | 'paused'
      readonly pid: number
      readonly started: string
      /** Its first process has ended: who waits for its monitor will see how. */
      readonly isEnding?: true
      /** Its directory for each controller. */
      readonly cgroups: Readonly<Record<string, string>>
    }
  | { readonly status: 'exited' | 'restarting'; readonly started: string; readonly exit: Exit | undefined }
)

export interface Exit {
  /** 128 and the signal for one that a signal ended. */
  readonly status: number
  readonly signal: number
  /** RFC 3339, UTC. */
  readonly at: string
}

export const STARTED_FILE = 'started'
export const EXIT_FILE = 'exit'
/** What docker says of a container whose end nobody saw. */
export const UNSEEN_STATUS = 255

/** By id, the beginning of one, or name. Throws `missing`, with docker's words. */
export function findContainer(engine: Engine, text: string): EngineContainer {
  const { files } = engine.machine
  const id = idOf(engine, text)
  const found = id === undefined ? undefined : readEngineContainer(engine, id)
  if (found !== undefined) return found
  throw new OperationError({
    kind: 'missing',
    operation: `find container ${text}`,
    reason: `No such container: ${text}`,
    hint: files.list(containersDirectory(engine))?.length ? 'coffer ps --all lists them' : 'there are none',
  })
}

/** docker's `.Name` begins with a slash, and scripts give it back. */
export const withoutSlash = (name: string): string => name.replace(/^\/(?=.)/, '')

/** The id of the container that `word` names, whether its record is whole or not. */
export function idOf(engine: Engine, word: string): string | undefined {
  const { files } = engine.machine
  const text = withoutSlash(word)
  if (!/^[\w.-]+$/.test(text) || text === '.' || text === '..') return undefined
  // A container that is called by the id of another one does not stand for it.
  if (/^[0-9a-f]{64}$/.test(text) && files.status(containerPath(engine, text)) !== undefined) return text
  const named = files.readLink(`${namesDirectory(engine)}/${text}`)
  if (named !== undefined) return named
  if (!/^[0-9a-f]{1,64}$/.test(text)) return undefined
  const ids = (files.list(containersDirectory(engine)) ?? []).filter((id) => id.startsWith(text))
  if (ids.length < 2) return ids[0]
  throw new OperationError({
    kind: 'invalid',
    operation: `find container ${text}`,
    reason: `${ids.length} containers have an id that begins so`,
    hint: 'write more of it',
  })
}

/** The newest first. One whose record is not whole is left out with a warning: it must not hide the others. */
export function listEngineContainers(
  engine: Engine,
  warn: (text: string) => void = () => undefined,
): readonly EngineContainer[] {
  const ids = engine.machine.files.list(containersDirectory(engine)) ?? []
  const found = ids.map((id) => {
    try {
      return readEngineContainer(engine, id)
    } catch (error) {
      if (!isTorn(error)) throw error
      warn(`${error.message}; coffer rm --force ${id} removes it`)
      return undefined
    }
  })
  return found
    .filter((one): one is EngineContainer => one !== undefined)
    .sort((a, b) => (a.record.created < b.record.created ? 1 : -1))
}

/** Undefined for a directory that is being made, or removed. */
export function readEngineContainer(engine: Engine, id: string): EngineContainer | undefined {
  const { machine } = engine
  const directory = containerPath(engine, id)
  const path = `${directory}/${RECORD_FILE}`
  const text = machine.files.readText(path)
  if (text === undefined) return undefined
  const record = parseRecord(text, path)
  const started = machine.files.readText(`${directory}/${STARTED_FILE}`)?.trim()
  const readExit = (): Exit | undefined => parseExit(machine.files.readText(`${directory}/${EXIT_FILE}`))
  const before = readExit()
  if (started === undefined) return { record, status: 'created' }
  // A container that has ended and is being cleaned up has its exit already.
  const inner = before === undefined ? readRemains(machine.files, machine.root, id) : undefined
  if (inner?.status === 'running' || inner?.status === 'paused')
    return { record, status: inner.status, pid: inner.init.pid, started, cgroups: inner.record.cgroup.paths }
  // It may have ended meanwhile.
  const exit = before ?? readExit()
  const init =
    exit === undefined && inner?.status === 'stopped' ? recordedInit(machine.files, inner.directory) : undefined
  // Its monitor has yet to tell how it ended.
  if (init !== undefined && inner?.record !== undefined && isWatched(engine, id))
    return { record, status: 'running', isEnding: true, pid: init.pid, started, cgroups: inner.record.cgroup.paths }
  // It has told by now.
  if (exit === undefined && readExit() !== undefined) return readEngineContainer(engine, id)
  const restarts = record.restart.when !== 'no' && isToRestart(engine, record, { started, exit })
  return { record, status: restarts ? 'restarting' : 'exited', started, exit }
}

interface Run {
  readonly started: string
  readonly exit: Exit | undefined
}

/** Whether who cleans up behind its end will start it again when he comes to that, or somebody says that he will. */
function isToRestart(engine: Engine, record: ContainerRecord, { started, exit }: Run): boolean {
  const { machine } = engine
  if (isStoppedByHand(engine, record.id)) return false
  const ran = exit === undefined ? undefined : { status: exit.status, ranMs: ranMs(started, exit) }
  const restarts = ran !== undefined && nextRestart(record.restart, readRestarts(engine, record.id), ran) !== undefined
  // In this order: who cleans up says so before. One that was killed leaves that to whoever mends it.
  const isLeft = machine.files.status(containerDirectory(machine, record.id)) !== undefined
  return (restarts && isLeft) || isAwaitingRestart(engine, record.id)
}

/** `STATUS SIGNAL NANOS` of native/monitor.c. */
export function parseExit(text: string | undefined): Exit | undefined {
  const match = /^(\d+) (\d+) (\d+)\n$/.exec(text ?? '')
  if (match === null) return undefined
  const [, status, signal, nanos] = match.map(Number)
  if (status === undefined || signal === undefined || nanos === undefined) return undefined
  return { status: signal === 0 ? status : 128 + signal, signal, at: new Date(nanos / 1_000_000).toISOString() }
}
