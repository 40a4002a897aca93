/** rm: a container goes with all it has written. */

import { OperationError } from '../base/errors.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { remove, rename } from '../executor/embedded-files.ts'
import { disconnectContainer } from './container-network.ts'
import { type EngineContainer, readEngineContainer } from './containers.ts'
import { tellDie } from './end.ts'
import { tellContainer } from './events.ts'
import { heldLocks, withContainerLock, withNamesLock } from './lock.ts'
import { releaseVolumes } from './mounted-volumes.ts'
import { removeOwned } from './owner.ts'
import { attachPath, containerPath, type Engine, namesDirectory } from './place.ts'
import { type ContainerRecord, LEAVING_FILE, RECORD_FILE } from './record.ts'
import { markStopped } from './restart.ts'
import { keepSent } from './sent.ts'
import { anonymousVolumes, dropVolume } from './volumes.ts'

export interface RemoveOptions {
  readonly force: boolean
  /** Also its anonymous volumes. */
  readonly volumes?: boolean
  readonly warn: (text: string) => void
}

/** Throws `conflict` for one that runs, unless forced. */
export function removeContainer(
  engine: Engine,
  { record, status }: EngineContainer,
  { force, warn, volumes = false }: RemoveOptions,
): void {
  if (!force) refuseLive(record, status)
  // Who waits to start it again gives up, and the lock free.
  if (force) markStopped(engine, record)
  withContainerLock(engine, record.id, () => {
    const now = readEngineContainer(engine, record.id)
    if (!force && now !== undefined) refuseLive(record, now.status)
    const isAlive = now?.status === 'running' || now?.status === 'paused'
    if (isAlive) {
      keepSent(engine, record.id, { command: 'rm', signal: 'KILL' })
      tellContainer(engine, record, 'kill', { signal: '9' })
    }
    removeInner(engine.machine, record.id, { force: true, warn, held: heldLocks() })
    if (isAlive) tellDie(engine, record, KILLED, ranSeconds(engine, now.started))
    disconnectContainer(engine, record.id)
    releaseVolumes(engine, record.id)
    remove(engine.machine.native, attachPath(engine, record.id))
    destroyContainer(engine, record, { volumes })
  })
}

const KILLED = 137

const ranSeconds = ({ machine }: Engine, started: string): number =>
  Math.max(0, Math.floor((machine.now().getTime() - Date.parse(started)) / 1000))

interface Going {
  /** Whether its anonymous volumes go with it: those that no other container mounts, as with --volumes-from. */
  readonly volumes: boolean
}

export function destroyContainer(engine: Engine, record: ContainerRecord, going: Going): void {
  forgetContainer(engine, record, going)
  removeOwned(engine, [containerPath(engine, record.id)])
}

/** From now on there is none. What it has written is left, for whoever removes it: this command, or any other. Of two, one tells of it. */
export function forgetContainer(engine: Engine, record: ContainerRecord, going: Going): void {
  const isThere = engine.machine.files.status(`${containerPath(engine, record.id)}/${RECORD_FILE}`) !== undefined
  const volumes = going.volumes ? anonymousVolumes(record) : []
  forgetName(engine, record, volumes.length > 0 ? LEAVING_FILE : REMOVED_FILE)
  if (isThere) tellContainer(engine, record, 'destroy')
  for (const name of volumes) dropVolume(engine, name)
}

const REMOVED_FILE = 'removed.json'

function refuseLive({ name }: ContainerRecord, status: EngineContainer['status']): void {
  if (status === 'created' || status === 'exited') return
  throw new OperationError({
    kind: 'conflict',
    operation: `remove container ${name}`,
    reason: `cannot remove container "${name}": container is ${status}`,
    hint: 'stop it before, or give --force',
  })
}

/** One whose record is not whole: its name is not known, so that it goes as one that leads nowhere. */
export function removeDamaged(engine: Engine, id: string, warn: (text: string) => void): void {
  const { native, files } = engine.machine
  removeInner(engine.machine, id, { force: true, warn, held: heldLocks() })
  disconnectContainer(engine, id)
  releaseVolumes(engine, id)
  remove(native, attachPath(engine, id))
  for (const name of files.list(namesDirectory(engine)) ?? [])
    if (files.readLink(`${namesDirectory(engine)}/${name}`) === id) forgetName(engine, { id, name }, REMOVED_FILE)
  removeOwned(engine, [containerPath(engine, id)])
}

/** The record goes first: from then on there is no such container, and its new name says what of it is to go, whenever somebody kills us. */
function forgetName(engine: Engine, { id, name }: Pick<ContainerRecord, 'id' | 'name'>, record: string): void {
  const { native, files } = engine.machine
  const directory = containerPath(engine, id)
  withNamesLock(engine, () => {
    const path = `${namesDirectory(engine)}/${name}`
    if (files.status(`${directory}/${RECORD_FILE}`) !== undefined) {
      // One that was killed as it made the container may have left it.
      if (record !== LEAVING_FILE) remove(native, `${directory}/${LEAVING_FILE}`)
      rename(native, `${directory}/${RECORD_FILE}`, `${directory}/${record}`)
    }
    if (files.readLink(path) === id) remove(native, path)
  })
}
