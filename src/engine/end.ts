/** What is known of the end of a container: kept by ended.ts while its cgroup is there, and read by `coffer why`. */

import { OperationError } from '../base/errors.ts'
import { keepFailure, openRunRoot } from '../container/last-failure.ts'
import { type MemoryEnd, memoryEnd } from '../container/memory-end.ts'
import { readRemains } from '../container/store.ts'
import { replaceFile } from '../executor/embedded-files.ts'
import { type EngineContainer, type Exit, readEngineContainer } from './containers.ts'
import { containerPath, type Engine } from './place.ts'
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
    exit: seen.status === 'exited' ? seen.exit : undefined,
    started: seen.status === 'created' ? '' : seen.started,
    ...(sent === undefined ? {} : { sent }),
    ...(memory === undefined ? {} : { memory }),
  }
}

/** Files that were written whole, by rename, or not at all. */
const parsed = <Value>(text: string | undefined): Value | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as Value)

/** Who removes the container at the same time wants nothing kept: then there is no place for it. */
export function keepEnd(engine: Engine, id: string): void {
  try {
    keepMemoryEnd(engine, id)
    keepAsLast(engine, id)
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
  }
}

function keepMemoryEnd({ machine, dataRoot }: Engine, id: string): void {
  const remains = readRemains(machine.files, machine.root, id)
  const memory = remains === undefined ? undefined : memoryEnd(machine, remains)
  if (memory === undefined) return
  const path = `${containerPath({ dataRoot }, id)}/${MEMORY_END_FILE}`
  replaceFile(machine.native, { path, temporary: `${path}.new`, text: JSON.stringify(memory), mode: 0o600 })
}

/** A status of 0 is no failure, and neither is the end of a container that is removed. */
function keepAsLast(engine: Engine, id: string): void {
  const { native, root, now } = engine.machine
  const container = readEngineContainer(engine, id)
  if (container?.status !== 'exited' || container.exit?.status === 0) return
  const end = readEnd(engine, container)
  if (end.sent?.command === 'rm') return
  const at = end.exit?.at ?? now().toISOString()
  const { name, intent } = container.record
  const hasOwnPids = intent.namespaces.pid.kind === 'private'
  keepFailure(native, openRunRoot(native, root), { kind: 'container', at, id, name, hasOwnPids, end })
}
