/**
 * Volumes: directories that outlive containers, by name.
 *
 * A volume exists from the moment volume.json does. It is made as `.new` and renamed, so nobody sees half of one.
 */

import { OperationError } from '../base/errors.ts'
import type { FileStatus } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { must, mustUnless } from '../executor/embedded-call.ts'
import { makeDirectories, makeDirectory, rename, writeNewFile } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../linux/files.ts'
import { listEngineContainers } from './containers.ts'
import { tell } from './events.ts'
import { withNamesLock } from './lock.ts'
import { isMounted, mountedFiles } from './mounted-volumes.ts'
import { asOwner, removeOwned } from './owner.ts'
import { containerPath, type Engine, volumePath, volumesDirectory } from './place.ts'
import { randomHex } from './random.ts'
import { type ContainerRecord, isTorn, LEAVING_FILE, parseRecord } from './record.ts'
import { type VolumeOptions, volumeFiles } from './volume-options.ts'

export interface Volume {
  readonly version: 1
  readonly name: string
  /** RFC 3339, UTC. */
  readonly created: string
  readonly labels: Readonly<Record<string, string>>
  readonly isAnonymous: boolean
  /** Of `volume create --opt`; none if absent. */
  readonly options?: VolumeOptions | undefined
}

const RECORD = 'volume.json'
const RENAME_NOREPLACE = 1
const DROPPED = '.gone-'
/** What an image has for a volume of that name, until it is in it. */
export const COPIED = '.copied-'
const VOLUME_NAME = /^[a-zA-Z0-9][\w.-]+$/

/** What is about to become a volume, or its files; for who holds the lock of names. */
export const newVolumePath = (engine: Engine): string => `${volumesDirectory(engine)}/.new`

export const anonymousVolumes = ({ intent }: Pick<ContainerRecord, 'intent'>): readonly string[] =>
  intent.mounts.flatMap((one) => (one.kind === 'volume' && one.isAnonymous ? [one.name] : []))

export type NewVolume = Pick<Volume, 'name' | 'labels' | 'isAnonymous' | 'options'>

/** For who holds the lock of names. One that is there stays as it is. Throws `invalid` for a name, or options, that cannot be one's. */
export function makeVolume(engine: Engine, wanted: NewVolume): void {
  const { native, files, now } = engine.machine
  const path = volumePath(engine, wanted.name)
  if (!VOLUME_NAME.test(wanted.name))
    throw new OperationError({
      kind: 'invalid',
      operation: `make the volume ${JSON.stringify(wanted.name)}`,
      reason: `${JSON.stringify(wanted.name)} includes invalid characters for a local volume name`,
      hint: 'begin with a letter or digit, and use letters, digits, "_", "." and "-"',
    })
  volumeFiles(wanted.name, wanted.options ?? {})
  if (files.status(path) !== undefined) return
  makeDirectories(native, volumesDirectory(engine), 0o711)
  const made = newVolumePath(engine)
  // What a killed command left.
  if (files.status(made) !== undefined) removeOwned(engine, [made])
  makeDirectory(native, made, 0o711)
  makeDirectory(native, `${made}/_data`, 0o755)
  const record: Volume = { version: 1, created: now().toISOString(), ...wanted }
  writeNewFile(native, `${made}/${RECORD}`, JSON.stringify(record), 0o600)
  try {
    rename(native, made, path)
  } catch (error) {
    // A name may be too long for a file.
    removeTree(native, made)
    throw error
  }
  tell(engine, 'volume', 'create', wanted.name, { driver: 'local' })
}

/** Undefined for one that is not there. */
export function readVolume(engine: Engine, name: string): Volume | undefined {
  if (!VOLUME_NAME.test(name)) return undefined
  const text = engine.machine.files.readText(`${volumePath(engine, name)}/${RECORD}`)
  return text === undefined ? undefined : (JSON.parse(text) as Volume)
}

export function findVolume(engine: Engine, name: string): Volume {
  const found = readVolume(engine, name)
  if (found !== undefined) return found
  throw new OperationError({
    kind: 'missing',
    operation: `find volume ${name}`,
    reason: `No such volume: ${name}`,
    hint: 'coffer volume ls lists them',
  })
}

/** Where its files are; undefined while no container uses one that has to be mounted. */
export function whereVolume(
  engine: Engine,
  { name, options = {} }: Pick<Volume, 'name' | 'options'>,
): string | undefined {
  const files = volumeFiles(name, options)
  switch (files.kind) {
    case 'own':
      return `${volumePath(engine, name)}/_data`
    case 'directory':
      return files.path
    case 'file-system':
      return isMounted(engine, name) ? mountedFiles(engine, name) : undefined
  }
}

/** By name. */
export const listVolumes = (engine: Engine): readonly Volume[] =>
  [...(engine.machine.files.list(volumesDirectory(engine)) ?? [])]
    .sort()
    .map((name) => readVolume(engine, name))
    .filter((one): one is Volume => one !== undefined)

/** The ids of the containers that mount it. */
export const usersOf = (engine: Engine, name: string): readonly string[] =>
  listEngineContainers(engine)
    .filter(({ record }) => record.intent.mounts.some((one) => one.kind === 'volume' && one.name === name))
    .map(({ record }) => record.id)

/** Throws `conflict` for one that a container mounts. */
export function removeVolume(engine: Engine, name: string): void {
  findVolume(engine, name)
  const users = dropVolume(engine, name)
  if (users.length === 0) return
  throw new OperationError({
    kind: 'conflict',
    operation: `remove volume ${name}`,
    reason: `volume is in use - [${users.join(', ')}]`,
    hint: 'remove these containers before',
  })
}

/**
 * Answers the containers that mount it, in which case it stays: who makes one holds the lock of names from its volumes until its record is
 * there. From the rename on there is no such volume; what is left of it when somebody kills us goes with the next one.
 */
export function dropVolume(engine: Engine, name: string): readonly string[] {
  const users = withNamesLock(engine, () => dropHeld(engine, name))
  removeDropped(engine)
  return users
}

/** As dropVolume, for who holds the lock of names. */
function dropHeld(engine: Engine, name: string): readonly string[] {
  const { native } = engine.machine
  const users = usersOf(engine, name)
  if (users.length > 0) return users
  const gone = `${volumesDirectory(engine)}/${DROPPED}${randomHex(native, 8)}`
  const options = { native, operation: `remove volume ${name}`, expected: ['ENOENT'] } as const
  const from = volumePath(engine, name)
  const renamed = mustUnless(options, 'renameat2', AT_FDCWD, from, AT_FDCWD, gone, RENAME_NOREPLACE)
  if (renamed !== undefined) tell(engine, 'volume', 'destroy', name, { driver: 'local' })
  return users
}

const namesBehind = (engine: Engine, prefix: string): readonly string[] =>
  (engine.machine.files.list(volumesDirectory(engine)) ?? [])
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))

function removeDropped(engine: Engine): void {
  removeOwned(
    engine,
    namesBehind(engine, DROPPED).map((name) => `${volumesDirectory(engine)}/${DROPPED}${name}`),
  )
}

/** Moves what was copied into the directory of the volume; for who holds the lock of names. What a container made meanwhile is left as it is. */
export function fillVolume(engine: Engine, name: string): void {
  const { native, files } = engine.machine
  const copied = `${volumesDirectory(engine)}/${COPIED}${name}`
  const data = `${volumePath(engine, name)}/_data`
  const status = files.status(copied)
  if (status === undefined) return
  if (files.status(data) !== undefined) {
    for (const entry of files.list(copied) ?? []) {
      const [from, to] = [`${copied}/${entry}`, `${data}/${entry}`]
      const options = { native, operation: `move ${from} to ${to}`, expected: ['EEXIST'] } as const
      mustUnless(options, 'renameat2', AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)
    }
    own(native, data, status)
  }
  removeTree(native, copied)
}

/** Owner first, as chown(2) takes set-id bits away. */
function own(native: Native, path: string, { mode, uid, gid }: FileStatus): void {
  must(native, `give ${path} an owner`, 'fchownat', AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW)
  must(native, `give ${path} a mode`, 'fchmodat', AT_FDCWD, path, mode & 0o7777)
}

/** What killed commands left, but for what mendLeaving knows of. */
export function mendVolumes(engine: Engine): void {
  const copied = namesBehind(engine, COPIED)
  if (copied.length > 0)
    withNamesLock(engine, () =>
      asOwner(engine, () => {
        for (const name of copied) fillVolume(engine, name)
      }),
    )
  const made = newVolumePath(engine)
  if (engine.machine.files.status(made) !== undefined) withNamesLock(engine, () => removeOwned(engine, [made]))
  removeDropped(engine)
}

/** Of a container that is not there, for who holds the lock of names: the volumes that go with it. mendVolumes removes what was in them. */
export function mendLeaving(engine: Engine, id: string): void {
  const path = `${containerPath(engine, id)}/${LEAVING_FILE}`
  const text = engine.machine.files.readText(path)
  try {
    for (const name of text === undefined ? [] : anonymousVolumes(parseRecord(text, path))) dropHeld(engine, name)
  } catch (error) {
    if (!isTorn(error)) throw error
  }
}
