/** What is known of the end of a container: kept by ended.ts while its cgroup is there, and read by `coffer why`. */

import { OperationError } from '../base/errors.ts'
import { keepFailure, openRunRoot } from '../container/last-failure.ts'
import { type MemoryEnd, memoryEnd } from '../container/memory-end.ts'
import type { Container } from '../container/store.ts'
import { replaceFile } from '../executor/embedded-files.ts'
import { readConnection } from './connection.ts'
import { type EngineContainer, type Exit, readEngineContainer, UNSEEN_STATUS } from './containers.ts'
import { tellContainer, tellNetwork } from './events.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { SENT_FILE, type SentSignal } from './sent.ts'

export interface ContainerEnd {
  /** Undefined if nobody saw it. */
  readonly exit: Exit | undefined
  readonly started: string
  /** The last signal that coffer sent. */
  readonly sent?: SentSignal
  readonly memory?: MemoryEnd
}

/** Of the part that is seen only while the cgroup is there. */
export const MEMORY_END_FILE = 'memory-end'

export function readEnd(engine: Engine, { record: { id }, ...seen }: EngineContainer): ContainerEnd {
  const { files } = engine.machine
  const directory = containerPath(engine, id)
  const sent = parsed<SentSignal>(files.readText(`${directory}/${SENT_FILE}`))
  const memory = parsed<MemoryEnd>(files.readText(`${directory}/${MEMORY_END_FILE}`))
  return {
    exit: seen.status === 'exited' || seen.status === 'restarting' ? seen.exit : undefined,
    started: seen.status === 'created' ? '' : seen.started,
    ...(sent === undefined ? {} : { sent }),
    ...(memory === undefined ? {} : { memory }),
  }
}

/** Files that were written whole, by rename, or not at all. */
const parsed = <Value>(text: string | undefined): Value | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as Value)

/** For who is about to clean up behind it: what is known of its end is kept, and told unless somebody did. `inner` is what the runtime left. */
export function recordEnd(engine: Engine, id: string, inner: Container | undefined): void {
  unlessRemoved(() => keepMemoryEnd(engine, id, inner))
  const container = readEngineContainer(engine, id)
  unlessRemoved(() => keepAsLast(engine, container))
  // Whoever cleaned up behind it, or removed it, has told of it.
  if (inner !== undefined) tellEnd(engine, container)
}

/** Who removes the container at the same time wants nothing kept: then there is no place for it. */
function unlessRemoved(keep: () => void): void {
  try {
    keep()
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
  }
}

function tellEnd(engine: Engine, container: EngineContainer | undefined): void {
  if (container?.status !== 'exited' && container?.status !== 'restarting') return
  const { record, exit, started } = container
  if (readEnd(engine, container).memory !== undefined) tellContainer(engine, record, 'oom')
  const seconds = exit === undefined ? 0 : Math.max(0, Math.floor((Date.parse(exit.at) - Date.parse(started)) / 1000))
  tellDie(engine, record, exit?.status ?? UNSEEN_STATUS, seconds)
}

export function tellDie(engine: Engine, record: ContainerRecord, status: number, seconds: number): void {
  tellContainer(engine, record, 'die', { execDuration: `${seconds}`, exitCode: `${status}` })
  for (const { network } of readConnection(engine, record.id)?.endpoints ?? [])
    tellNetwork(engine, network, 'disconnect', record.id)
}

function keepMemoryEnd({ machine, dataRoot }: Engine, id: string, inner: Container | undefined): void {
  const memory = inner === undefined ? undefined : memoryEnd(machine, inner)
  if (memory === undefined) return
  const path = `${containerPath({ dataRoot }, id)}/${MEMORY_END_FILE}`
  replaceFile(machine.native, { path, temporary: `${path}.new`, text: JSON.stringify(memory), mode: 0o600 })
}

/** A status of 0 is no failure, and neither is the end of a container that is removed. */
function keepAsLast(engine: Engine, container: EngineContainer | undefined): void {
  const { native, root, now } = engine.machine
  if (container?.status !== 'exited' && container?.status !== 'restarting') return
  if (container.exit?.status === 0) return
  const end = readEnd(engine, container)
  if (end.sent?.command === 'rm') return
  const at = end.exit?.at ?? now().toISOString()
  const { id, name, intent } = container.record
  const hasOwnPids = intent.namespaces.pid.kind === 'private'
  keepFailure(native, openRunRoot(native, root), { kind: 'container', at, id, name, hasOwnPids, end })
}
