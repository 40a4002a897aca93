/** Who links a container hears of its address: links.ts. */

import { close, makeDirectory, open } from '../executor/embedded-files.ts'
import { O_CREAT, O_WRONLY } from '../linux/files.ts'
import { readConnection } from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { readEngineContainer } from './containers.ts'
import type { Intent } from './intent.ts'
import { containerPath, type Engine } from './place.ts'

const directoryOf = (engine: Engine, id: string): string => `${containerPath(engine, id)}/linked`

/** For who makes the container. What is noted of one that is gone stands for nothing. */
export function noteLinks(engine: Engine, id: string, { names }: Pick<Intent, 'names'>): void {
  const { native } = engine.machine
  for (const link of names?.links ?? []) {
    makeDirectory(native, directoryOf(engine, link.id), 0o700)
    close(native, open(native, `${directoryOf(engine, link.id)}/${id}`, O_WRONLY | O_CREAT, 0o600))
  }
}

/** One that was connected may have another address than before. */
export function tellLinked(engine: Engine, id: string): void {
  for (const other of engine.machine.files.list(directoryOf(engine, id)) ?? []) {
    const found = readEngineContainer(engine, other)
    const connection = readConnection(engine, other)
    const isLive = found?.status === 'running' || found?.status === 'paused'
    if (isLive && connection !== undefined) rewriteNamedFiles(engine, found.record.intent, connection)
  }
}
