/** rename: a container gets another name, which nobody else has. */

import { OperationError } from '../base/errors.ts'
import { remove } from '../executor/embedded-files.ts'
import { findContainer } from './containers.ts'
import { tellContainer } from './events.ts'
import { withNamesLock } from './lock.ts'
import { takeName, writeRecord } from './make.ts'
import { renameEndpoints } from './network-change.ts'
import { type Engine, namesDirectory } from './place.ts'

/**
 * Throws `conflict` if the name is taken, `invalid` if it cannot be one. Killed in between, the old name leads to the container still, until
 * somebody wants it.
 */
export function renameContainer(engine: Engine, id: string, name: string): void {
  const { native, files } = engine.machine
  withNamesLock(engine, () => {
    const { record } = findContainer(engine, id)
    if (name === record.name)
      throw new OperationError({
        kind: 'invalid',
        operation: `rename container ${record.name}`,
        reason: 'Renaming a container with the same name as its current name',
      })
    takeName(engine, id, name)
    const renamed = { ...record, name }
    writeRecord(engine, renamed)
    renameEndpoints(engine, renamed)
    const old = `${namesDirectory(engine)}/${record.name}`
    if (files.readLink(old) === id) remove(native, old)
    tellContainer(engine, renamed, 'rename', { oldName: `/${record.name}` })
  })
}
