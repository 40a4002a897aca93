/** A container comes into being, without being started: its name, its directories, and the record of what was asked for. */

import { OperationError } from '../base/errors.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { makeDirectories, makeDirectory, remove, replaceFile } from '../executor/embedded-files.ts'
import { readEntries, type StoredImage } from '../image/layout.ts'
import { AT_FDCWD } from '../linux/files.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import { writeNamedFiles } from './container-files.ts'
import { copyUpDirectory, copyUpVolume } from './copy-up.ts'
import { tellContainer } from './events.ts'
import { writeInitProgram } from './init-program.ts'
import type { Intent, IntentMount } from './intent.ts'
import { noteLinks } from './linked.ts'
import { withNamesLock } from './lock.ts'
import { makeMountPoints } from './mount-points.ts'
import { isMountable, mountedFiles, withMountedVolume } from './mounted-volumes.ts'
import { makeName } from './names.ts'
import { attachPath, containerPath, containersDirectory, type Engine, namesDirectory, volumePath } from './place.ts'
import { randomBytes } from './random.ts'
import { type ContainerRecord, LEAVING_FILE, parseRecord, RECORD_FILE } from './record.ts'
import { type VolumeMount, withFilesOfVolume } from './volume-mounts.ts'
import { makeVolume } from './volumes.ts'

export type NewContainer = Omit<ContainerRecord, 'version' | 'id' | 'name' | 'created'> & {
  readonly name: string | undefined
}

/** Throws `conflict` if the name is taken, `invalid` if it cannot be one, `missing` if somebody has removed the image since it was found. */
export function makeContainer(
  engine: Engine,
  wanted: NewContainer,
  { id, image }: { readonly id: string; readonly image?: StoredImage | undefined },
): ContainerRecord {
  const { native, now } = engine.machine
  prepareEngine(engine)
  return withNamesLock(engine, () => {
    if (image !== undefined) refuseRemoved(engine, wanted.image.name, image)
    const name = takeName(engine, id, wanted.name)
    const asked: ContainerRecord = { ...wanted, version: 1, id, name, created: now().toISOString() }
    const directory = containerPath(engine, id)
    makeDirectory(native, directory, 0o700)
    for (const inside of ['work', 'rootfs']) makeDirectory(native, `${directory}/${inside}`, 0o755)
    makeUpper(engine, `${directory}/upper`, asked.intent)
    const leaves = writeLeaving(engine, asked)
    const record = prepareMounts(engine, asked)
    noteLinks(engine, id, record.intent)
    writeRecord(engine, record)
    if (leaves) remove(native, `${directory}/${LEAVING_FILE}`)
    tellContainer(engine, record, 'create')
    return record
  })
}

/** Who removes an image does so under the same lock. */
function refuseRemoved({ machine: { files }, dataRoot }: Engine, name: string, { descriptor }: StoredImage): void {
  if (readEntries(files, dataRoot).some(({ digest }) => digest === descriptor.digest)) return
  throw new OperationError({ kind: 'missing', operation: `run the image ${name}`, reason: `No such image: ${name}` })
}

/** What the container mounts from below the data root, and paths of the host that --volume names and nobody has made. Answers where all is. */
function prepareMounts(engine: Engine, record: ContainerRecord): ContainerRecord {
  const { intent } = record
  if (intent.root.kind === 'layers' && intent.root.below !== undefined) makeMountPoints(engine)
  writeNamedFiles(engine, intent)
  if (intent.initPath !== undefined) writeInitProgram(engine)
  const mounts = intent.mounts.map((one) => {
    if (one.kind !== 'tmpfs' && one.view !== undefined) {
      makeDirectories(engine.machine.native, one.view.work, 0o755)
      makeUpper(engine, one.view.upper, intent)
    }
    return prepareMount(engine, one, record)
  })
  return { ...record, intent: { ...intent, mounts } }
}

/** The root of an overlay is its upper directory, and belongs to root of the container. */
function makeUpper({ machine: { native } }: Engine, path: string, { root, userMaps }: Intent): void {
  makeDirectory(native, path, 0o755)
  if (root.kind !== 'layers' || root.translatesIds !== true) return
  const [uid, gid] = [userMaps?.uidMappings, userMaps?.gidMappings].map(hostIdOfRoot)
  must(native, `give ${path} to root of the container`, 'fchownat', AT_FDCWD, path, uid ?? 0, gid ?? 0, 0)
}

const hostIdOfRoot = (mappings: readonly IdMapping[] = []): number =>
  mappings.find(({ containerID }) => containerID === 0)?.hostID ?? 0

function prepareMount(engine: Engine, one: IntentMount, { id, image: { layers } }: ContainerRecord): IntentMount {
  const { native, files } = engine.machine
  if (one.kind === 'tmpfs') return one
  if (one.view !== undefined) for (const path of [one.view.upper, one.view.work]) makeDirectories(native, path, 0o755)
  if (one.kind === 'volume') {
    const { name, labels = {}, isAnonymous, volumeOptions: options } = one
    makeVolume(engine, { name, labels, isAnonymous, options })
    return prepareVolume(engine, withFilesOfVolume(engine, one), { id, layers })
  }
  if (files.status(one.source) !== undefined) return one
  if (!one.makesSource)
    throw new OperationError({
      kind: 'missing',
      operation: `mount ${one.source}`,
      reason: `invalid mount config for type "bind": bind source path does not exist: ${one.source}`,
      hint: 'make it before, or use --volume, which makes a directory',
    })
  makeDirectories(native, one.source, 0o755)
  return one
}

function prepareVolume(
  engine: Engine,
  one: VolumeMount,
  { id, layers }: { readonly id: string; readonly layers: readonly string[] },
): VolumeMount {
  const { name, source, destination, copiesUp } = one
  if (source === mountedFiles(engine, name)) {
    // What a file system in memory gets now is gone before the container starts.
    if (copiesUp && isMountable(one) && !['tmpfs', 'ramfs'].includes(one.fileSystem.type))
      withMountedVolume(engine, id, one, () => copyUpDirectory(engine, { directory: source, destination }, layers))
  } else if (source === `${volumePath(engine, name)}/_data`) {
    if (copiesUp) copyUpVolume(engine, one, layers)
  } else {
    if (copiesUp) copyUpDirectory(engine, { directory: source, destination }, layers)
  }
  return one
}

export const writeRecord = (engine: Engine, record: ContainerRecord): void => writeAs(engine, record, RECORD_FILE)

function writeAs({ machine: { native }, dataRoot }: Engine, record: ContainerRecord, name: string): void {
  const path = `${containerPath({ dataRoot }, record.id)}/${name}`
  replaceFile(native, { path, temporary: `${path}.new`, text: JSON.stringify(record), mode: 0o600 })
}

/** Before its anonymous volumes are made: those, and none of another container. Answers whether there are any. */
function writeLeaving(engine: Engine, record: ContainerRecord): boolean {
  const { files } = engine.machine
  const isNew = (one: IntentMount): boolean =>
    one.kind === 'volume' && one.isAnonymous && files.status(volumePath(engine, one.name)) === undefined
  const mounts = record.intent.mounts.filter(isNew)
  if (mounts.length > 0) writeAs(engine, { ...record, intent: { ...record.intent, mounts } }, LEAVING_FILE)
  return mounts.length > 0
}

function prepareEngine(engine: Engine): void {
  const { native, files, root } = engine.machine
  const directories = [containersDirectory(engine), root, attachPath(engine, '').slice(0, -1)]
  for (const path of directories) if (files.status(path) === undefined) makeDirectories(native, path, 0o711)
}

const NAME = /^[a-zA-Z0-9][\w.-]*$/

/** A name that leads nowhere, or to a container with another name, is what a killed command left. For who holds the lock of names. */
export function takeName(engine: Engine, id: string, wanted: string | undefined): string {
  const { native, files } = engine.machine
  if (wanted !== undefined && !NAME.test(wanted)) throw wrongName(wanted)
  for (let round = 0; ; round++) {
    const name = wanted ?? makeName(randomBytes(native, 4))
    const path = `${namesDirectory(engine)}/${name}`
    const holder = files.readLink(path)
    if (holder !== undefined && nameOf(engine, holder) !== name) remove(native, path)
    if (attempt(native, 'symlinkat', id, AT_FDCWD, path) >= 0) return name
    if (wanted !== undefined || round > 100) throw takenName(name, holder ?? '')
  }
}

function nameOf(engine: Engine, id: string): string | undefined {
  const path = `${containerPath(engine, id)}/${RECORD_FILE}`
  const text = engine.machine.files.readText(path)
  return text === undefined ? undefined : parseRecord(text, path).name
}

const wrongName = (name: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `name a container ${JSON.stringify(name)}`,
    reason: 'Invalid container name',
    hint: 'begin with a letter or digit, and use letters, digits, "_", "." and "-"',
  })

const takenName = (name: string, holder: string): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: `name a container ${name}`,
    reason: `Conflict. The container name "/${name}" is already in use by container "${holder}"`,
    hint: `choose another name, or: coffer rm ${name}`,
  })
