/**
 * What a command, a monitor or a cleaner left that was killed, the next command takes away.
 *
 * | left                                            | seen by                                              | mended by                     |
 * |-------------------------------------------------|------------------------------------------------------|-------------------------------|
 * | a container that ended with nobody to see it    | no `exit`, init is gone, nobody listens              | an `exit` of 255, and cleaned |
 * | one that nobody cleaned up behind               | `exit`, and state below the run root                 | cleaned                       |
 * | one that should have removed itself             | the same, or neither                                 | removed                       |
 * | a directory without a record                    | nobody is between name and record                    | removed                       |
 * | anonymous volumes of one that goes with them    | its leaving.json, and no record                      | removed                       |
 * | a volume that is half made, or half removed     | `.new` while nobody is between, `.gone-`             | removed                       |
 * | a volume that is half filled from an image      | `.copied-` and its name                              | filled                        |
 * | a volume that is mounted for nobody             | who uses it says so in `mounted/NAME`                | unmounted                     |
 * | a name that leads to no record                  | the same                                             | removed                       |
 * | state below the run root without a container    | its bundle would be below our data root              | cleaned                       |
 * | a network of one that has ended                 | its network.json                                     | disconnected                  |
 * | that of a box whose program was killed          | the pid and start time in its id                     | disconnected: box-network.ts  |
 * | a network that is half made, or half removed    | its directory has no network.json                    | removed                       |
 * | an address or port of nobody                    | who takes them says so in `networks/.taking`         | free again                    |
 * | one that a command paused for itself            | nobody has the lock of its `pausing`                 | let go on                     |
 * | one that runs without its name server, or relay | nobody has the lock of that                          | a new one                     |
 * | one that others find by the name before         | the names in its network.json                        | renamed there                 |
 */

import { describeError, OperationError } from '../base/errors.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { containerDirectory, readRemains } from '../container/store.ts'
import { remove, replaceFile } from '../executor/embedded-files.ts'
import { mendBoxes } from './box-network.ts'
import { readConnection } from './connection.ts'
import { restoreEgress } from './container-egress.ts'
import { disconnectContainer } from './container-network.ts'
import {
  type EngineContainer,
  EXIT_FILE,
  listEngineContainers,
  readEngineContainer,
  UNSEEN_STATUS,
} from './containers.ts'
import { lacksEgress } from './egress.ts'
import { recordEnd } from './end.ts'
import { mendPause } from './held-pause.ts'
import { isWatched } from './listening.ts'
import { heldLocks, tryContainerLock, withContainerLock, withNamesLock } from './lock.ts'
import { mendMountedVolumes, releaseVolumes } from './mounted-volumes.ts'
import { hasOldNames, lacksResolver, renameEndpoints, restoreResolver } from './network-change.ts'
import { mendNetworks } from './network-remove.ts'
import { hasNames, isTaking, releaseLeft } from './network-take.ts'
import { removeOwned } from './owner.ts'
import { attachPath, containerPath, containersDirectory, type Engine, namesDirectory } from './place.ts'
import { type ContainerRecord, isTorn, RECORD_FILE } from './record.ts'
import { destroyContainer } from './remove.ts'
import { mendLeaving, mendVolumes } from './volumes.ts'

const quiet = (): void => undefined

/** Mends all that is there, and answers the containers then; `warn` hears of those whose record is not whole. */
export function listMended(engine: Engine, warn: (text: string) => void): readonly EngineContainer[] {
  mendNamesAndStates(engine)
  mendVolumes(engine)
  mendNetworks(engine)
  mendBoxes(engine)
  if (isTaking(engine)) withNamesLock(engine, () => releaseLeft(engine))
  const found = listEngineContainers(engine, warn)
  for (const one of found) if (one.status === 'running') mendBeside(engine, one.record, warn)
  const mended = found.filter(({ status, record: { id } }) =>
    hasEnded(status) ? mendContainer(engine, id) : status === 'paused' && mendPause(engine, id),
  )
  mendMountedVolumes(engine)
  return mended.length === 0 ? found : listEngineContainers(engine, quiet)
}

function mendNamesAndStates(engine: Engine): void {
  const { files, root } = engine.machine
  const ids = files.list(containersDirectory(engine))
  if (ids === undefined) return
  const without = ids.filter((id) => files.status(`${containerPath(engine, id)}/${RECORD_FILE}`) === undefined)
  const stale = staleNames(engine)
  if (without.length > 0 || stale.length > 0) mendNames(engine, without)
  const known = new Set(ids)
  for (const id of files.list(root) ?? []) if (!known.has(id) && /^[0-9a-f]{64}$/.test(id)) mendRemains(engine, id)
}

const staleNames = (engine: Engine): readonly string[] => {
  const { files } = engine.machine
  return (files.list(namesDirectory(engine)) ?? []).filter((name) => {
    const id = files.readLink(`${namesDirectory(engine)}/${name}`)
    return id === undefined || files.status(`${containerPath(engine, id)}/${RECORD_FILE}`) === undefined
  })
}

/** Under the lock of names nobody makes a container, so that what has no record then never will. */
function mendNames(engine: Engine, ids: readonly string[]): void {
  const { native, files } = engine.machine
  withNamesLock(engine, () => {
    for (const name of staleNames(engine)) remove(native, `${namesDirectory(engine)}/${name}`)
    for (const id of ids) {
      if (files.status(`${containerPath(engine, id)}/${RECORD_FILE}`) !== undefined) continue
      mendLeaving(engine, id)
      removeOwned(engine, [containerPath(engine, id)])
    }
  })
}

/** Answers whether there was something to do. Who holds the lock of the container is at it already. */
export function mendContainer(engine: Engine, id: string): boolean {
  if (!needsMending(engine, id)) return false
  return tryContainerLock(engine, id, () => mendHeld(engine, id)) ?? false
}

/** As mendContainer, and who is at it is waited for. */
export function awaitMending(engine: Engine, id: string): void {
  if (!needsMending(engine, id)) return
  try {
    withContainerLock(engine, id, () => mendHeld(engine, id))
  } catch (error) {
    // It has removed itself.
    if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
  }
}

/** For who holds the lock of the container. */
function mendHeld(engine: Engine, id: string): boolean {
  if (!needsMending(engine, id) || isWatched(engine, id)) return false
  noteEnd(engine, id)
  recordEnd(engine, id, readRemains(engine.machine.files, engine.machine.root, id))
  removeInner(engine.machine, id, { force: true, warn: quiet, held: heldLocks() })
  disconnectContainer(engine, id)
  releaseVolumes(engine, id)
  remove(engine.machine.native, attachPath(engine, id))
  const record = readEngineContainer(engine, id)?.record
  if (record?.removesItself === true) destroyContainer(engine, record, { volumes: true })
  return true
}

/** What runs beside it for its network. A container that hinders us does not hinder the command. */
function mendBeside(engine: Engine, record: ContainerRecord, warn: (text: string) => void): void {
  const { id, network } = record
  if (network.kind !== 'egress' && !mayHaveNames(network)) return
  try {
    if (hasOldNames(engine, record)) renameAsIs(engine, id)
    if (!lacksResolver(engine, id) && !lacksEgress(engine, id)) return
    tryContainerLock(engine, id, () => {
      if (lacksResolver(engine, id)) restoreResolver(engine, record)
      if (lacksEgress(engine, id)) restoreEgress(engine, record)
    })
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    warn(describeError(error))
  }
}

const mayHaveNames = (network: ContainerRecord['network']): boolean =>
  network.kind === 'networks' && network.networks.some((one) => hasNames(one.network))

const renameAsIs = (engine: Engine, id: string): void =>
  withNamesLock(engine, () => {
    const now = readEngineContainer(engine, id)?.record
    if (now !== undefined) renameEndpoints(engine, now)
  })

/** On a full disk it stays without: that is cleaned up as well, and shown as the end that nobody saw. */
function noteEnd(engine: Engine, id: string): void {
  const { native, files, now } = engine.machine
  const path = `${containerPath(engine, id)}/${EXIT_FILE}`
  if (files.readText(path) !== undefined) return
  const text = `${UNSEEN_STATUS} 0 ${BigInt(now().getTime()) * 1_000_000n}\n`
  try {
    replaceFile(native, { path, temporary: `${path}.mended`, text, mode: 0o600 })
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind !== 'exhausted') throw error
  }
}

/** Who was to start it again may have been killed before he had cleaned up. */
export const hasEnded = (status: EngineContainer['status']): boolean => status === 'exited' || status === 'restarting'

function needsMending(engine: Engine, id: string): boolean {
  const container = readWhole(engine, id)
  if (container === undefined || !hasEnded(container.status) || !('exit' in container)) return false
  if (container.record.removesItself || container.exit === undefined) return true
  if (readConnection(engine, id) !== undefined) return true
  return engine.machine.files.status(containerDirectory(engine.machine, id)) !== undefined
}

/** What is damaged waits for somebody who removes it by force. */
function readWhole(engine: Engine, id: string): EngineContainer | undefined {
  try {
    return readEngineContainer(engine, id)
  } catch (error) {
    if (isTorn(error)) return undefined
    throw error
  }
}

function mendRemains(engine: Engine, id: string): void {
  const { machine } = engine
  const remains = readRemains(machine.files, machine.root, id)
  if (remains?.record?.bundle !== containerPath(engine, id)) return
  // Its directory is there before its state, and was not when it was looked for.
  if (machine.files.status(containerPath(engine, id)) !== undefined) return
  try {
    removeInner(machine, id, { force: true, warn: quiet, held: heldLocks() })
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
  }
  disconnectContainer(engine, id)
  remove(machine.native, attachPath(engine, id))
}
