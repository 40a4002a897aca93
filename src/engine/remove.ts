/** rm: a container goes with all it has written. */

import { OperationError } from '../base/errors.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { remove, rename } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { disconnectContainer } from './container-network.ts'
import type { EngineContainer } from './containers.ts'
import { withNamesLock } from './make.ts'
import { attachPath, containerPath, type Engine, namesDirectory } from './place.ts'
import { type ContainerRecord, RECORD_FILE } from './record.ts'
import { keepSent } from './sent.ts'

/** Throws `conflict` for one that runs, unless forced. */
export function removeContainer(
  engine: Engine,
  container: EngineContainer,
  { force, warn }: { readonly force: boolean; readonly warn: (text: string) => void },
): void {
  const { record, status } = container
  if (!force && (status === 'running' || status === 'paused'))
    throw new OperationError({
      kind: 'conflict',
      operation: `remove container ${record.name}`,
      reason: `cannot remove container "${record.name}": container is ${status}`,
      hint: 'stop it before, or give --force',
    })
  if (status === 'running' || status === 'paused') keepSent(engine, record.id, { command: 'rm', signal: 'KILL' })
  removeInner(engine.machine, record.id, { force: true, warn })
  disconnectContainer(engine, record.id)
  remove(engine.machine.native, attachPath(engine, record.id))
  removeFiles(engine, record)
}

/** The record goes first: from then on there is no such container, whatever else is left when somebody kills us. */
export function removeFiles(engine: Engine, { id, name }: ContainerRecord): void {
  const { native, files } = engine.machine
  const directory = containerPath(engine, id)
  withNamesLock(engine, () => {
    const path = `${namesDirectory(engine)}/${name}`
    if (files.status(`${directory}/${RECORD_FILE}`) !== undefined)
      rename(native, `${directory}/${RECORD_FILE}`, `${directory}/removed.json`)
    if (files.readLink(path) === id) remove(native, path)
  })
  removeTree(native, directory)
}
