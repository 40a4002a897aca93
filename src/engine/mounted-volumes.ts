/**
 * Volumes whose files are a file system of their own, as a tmpfs or one of a server: it is mounted when the first container that uses it
 * starts, and goes with the last (docs/decisions/0026).
 *
 *     mounted/NAME/files     where it is mounted, in the mount namespace of who starts containers
 *     mounted/NAME/ID        an empty file for each container that uses it, made before it is mounted
 *
 * They are not below volumes/, so that nobody who removes a volume removes what is mounted there: these directories are taken away with
 * rmdir(2) alone. All of it is done under the lock of names.
 */

import { OperationError } from '../base/errors.ts'
import { attempt, failure, must } from '../executor/embedded-call.ts'
import { close, makeDirectories, open, remove } from '../executor/embedded-files.ts'
import { AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_CREAT, O_WRONLY } from '../linux/files.ts'
import { MNT_DETACH, UMOUNT_NOFOLLOW } from '../linux/mount.ts'
import { readEngineContainer } from './containers.ts'
import type { IntentMount } from './intent.ts'
import { tryContainerLock, withNamesLock } from './lock.ts'
import { type Engine, mountedVolumePath, mountedVolumesDirectory } from './place.ts'
import type { ContainerRecord } from './record.ts'
import type { FileSystem } from './volume-options.ts'

type VolumeMount = Extract<IntentMount, { readonly kind: 'volume' }>
type Mountable = VolumeMount & { readonly fileSystem: FileSystem }

const FILES = 'files'
const ID = /^[0-9a-f]{64}$/

/** Where the files of the volume are while it is mounted. */
export const mountedFiles = (engine: Pick<Engine, 'dataRoot'>, name: string): string =>
  `${mountedVolumePath(engine, name)}/${FILES}`

/** What is there for a container that starts. What fails is taken back by releaseVolumes. Throws `missing`, and what mount(2) says. */
export function holdVolumes(engine: Engine, { id, intent }: Pick<ContainerRecord, 'id' | 'intent'>): void {
  for (const one of intent.mounts) if (one.kind === 'volume') missDirectory(engine, one)
  const wanted = intent.mounts.filter(isMountable)
  if (wanted.length === 0) return
  withNamesLock(engine, () => {
    for (const one of wanted) hold(engine, id, one)
  })
}

/** Of `o=bind`. */
function missDirectory({ machine: { files } }: Engine, { name, source, fileSystem }: VolumeMount): void {
  if (fileSystem !== undefined || files.status(source) !== undefined) return
  throw new OperationError({
    kind: 'missing',
    operation: `mount the volume ${name}`,
    reason: `failed to mount local volume: ${source}: no such file or directory`,
    hint: `make what its option device names: mkdir -p ${source}`,
  })
}

function hold(engine: Engine, id: string, one: Mountable): void {
  const { native } = engine.machine
  dropStale(engine, one.name, id)
  makeDirectories(native, mountedFiles(engine, one.name), 0o711)
  close(native, open(native, userPath(engine, one.name, id), O_WRONLY | O_CREAT, 0o600))
  if (!isMounted(engine, one.name)) mountFileSystem(engine, one, mountedFiles(engine, one.name))
}

/** Has it mounted meanwhile, for who makes the container and holds the lock of names. */
export function withMountedVolume(engine: Engine, id: string, one: Mountable, body: () => void): void {
  try {
    hold(engine, id, one)
    body()
  } finally {
    letGo(engine, id, one.name)
  }
}

function letGo(engine: Engine, id: string, name: string): void {
  remove(engine.machine.native, userPath(engine, name, id))
  unmountUnused(engine, name)
}

export const isMountable = (one: IntentMount): one is Mountable => one.kind === 'volume' && one.fileSystem !== undefined

/** At a directory that no container can exchange. */
export function mountFileSystem({ machine, host }: Engine, { name, fileSystem }: Mountable, at: string): void {
  const { type, device, flags, data } = fileSystem
  const operation = `mount the volume ${name} (${type} of ${device})`
  if (host().isRootless)
    throw new OperationError({
      kind: 'denied',
      operation,
      reason: 'it would be a mount of this machine, which needs root',
      hint: 'without root a volume is a directory, or one of yours: --opt type=none --opt o=bind --opt device=DIR; --tmpfs is memory',
    })
  must(machine.native, operation, 'mount', device, at, type, flags, data === '' ? null : data)
}

/** A container that has ended, or did not start, uses them no more; without an error where it used none. */
export function releaseVolumes(engine: Engine, id: string): void {
  if (mountedNames(engine).length === 0) return
  withNamesLock(engine, () => {
    for (const name of mountedNames(engine)) letGo(engine, id, name)
  })
}

/** What containers left that nobody cleaned up behind, as after kill -9 or a reboot. */
export function mendMountedVolumes(engine: Engine): void {
  if (mountedNames(engine).length === 0) return
  withNamesLock(engine, () => {
    for (const name of mountedNames(engine)) dropStale(engine, name, undefined)
  })
}

/** Whoever starts one, or cleans up behind it, has its lock. `own` is ours. */
function dropStale(engine: Engine, name: string, own: string | undefined): void {
  const { native } = engine.machine
  for (const id of usersOf(engine, name)) {
    if (id === own) continue
    const isGone = readEngineContainer(engine, id) === undefined
    const free = isGone || tryContainerLock(engine, id, () => !isLive(engine, id)) === true
    if (free) remove(native, userPath(engine, name, id))
  }
  unmountUnused(engine, name)
}

function isLive(engine: Engine, id: string): boolean {
  const status = readEngineContainer(engine, id)?.status
  return status === 'running' || status === 'paused'
}

/** A process that still has files of it open keeps the file system until it closes them. */
function unmountUnused(engine: Engine, name: string): void {
  const { native, files } = engine.machine
  if (usersOf(engine, name).length > 0) return
  const at = mountedFiles(engine, name)
  while (isMounted(engine, name)) {
    const result = attempt(native, 'umount2', at, MNT_DETACH | UMOUNT_NOFOLLOW)
    if (result < 0) throw failure(`unmount the volume ${name}`, 'umount2', result, [at])
  }
  for (const path of [at, mountedVolumePath(engine, name)])
    if (files.status(path) !== undefined) must(native, `remove ${path}`, 'unlinkat', AT_FDCWD, path, AT_REMOVEDIR)
}

const AT_STATX_DONT_SYNC = 0x4000
const STATX_ATTR_MOUNT_ROOT = 0x2000

/** Whether something is mounted there; a server that does not answer is not waited for. struct statx: attributes at 8. statx(2), Linux 5.8 */
export function isMounted({ machine: { native }, dataRoot }: Engine, name: string): boolean {
  const view = new DataView(new ArrayBuffer(256))
  const how = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC
  const result = attempt(native, 'statx', AT_FDCWD, mountedFiles({ dataRoot }, name), how, 0, view)
  return result >= 0 && (view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0
}

const userPath = (engine: Engine, name: string, id: string): string => `${mountedVolumePath(engine, name)}/${id}`

const mountedNames = (engine: Engine): readonly string[] =>
  engine.machine.files.list(mountedVolumesDirectory(engine)) ?? []

const usersOf = (engine: Engine, name: string): readonly string[] =>
  (engine.machine.files.list(mountedVolumePath(engine, name)) ?? []).filter((entry) => ID.test(entry))
