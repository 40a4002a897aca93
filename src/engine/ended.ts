/** What happens behind a container that has ended: the monitor becomes this program, with the clients still attached. */

import { removeContainer as removeInner } from '../container/remove.ts'
import { readRemains } from '../container/store.ts'
import { remove } from '../executor/embedded-files.ts'
import { disconnectContainer } from './container-network.ts'
import { readEngineContainer } from './containers.ts'
import { keepEnd } from './end.ts'
import { withContainerLock } from './make.ts'
import { attachPath, type Engine } from './place.ts'
import { removeFiles } from './remove.ts'

export function afterEnd(engine: Engine, id: string, warn: (text: string) => void): void {
  // It may have been removed meanwhile, with its directory.
  if (readEngineContainer(engine, id) === undefined) cleanUp(engine, id, warn)
  else
    withContainerLock(engine, id, () => {
      const inner = readRemains(engine.machine.files, engine.machine.root, id)
      // Somebody has started it again before we came.
      if (inner !== undefined && 'init' in inner) return
      cleanUp(engine, id, warn)
    })
}

function cleanUp(engine: Engine, id: string, warn: (text: string) => void): void {
  keepEnd(engine, id)
  removeInner(engine.machine, id, { force: true, warn })
  disconnectContainer(engine, id)
  remove(engine.machine.native, attachPath(engine, id))
  const container = readEngineContainer(engine, id)
  if (container?.record.removesItself === true) removeFiles(engine, container.record)
}
