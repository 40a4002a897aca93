/** rename: a container gets another name, which nobody else has. */

import { remove } from '../executor/embedded-files.ts'
import { withNamesLock } from './lock.ts'
import { takeName, writeRecord } from './make.ts'
import { type Engine, namesDirectory } from './place.ts'
import type { ContainerRecord } from './record.ts'

/** Throws `conflict` if the name is taken, `invalid` if it cannot be one. Killed in between, the old name is as good as the new one. */
export function renameContainer(engine: Engine, record: ContainerRecord, name: string): void {
  withNamesLock(engine, () => {
    takeName(engine, record.id, name)
    writeRecord(engine, { ...record, name })
    remove(engine.machine.native, `${namesDirectory(engine)}/${record.name}`)
  })
}
