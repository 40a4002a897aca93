/**
 * The files of a container, whether it runs or not, by the descriptor of its root.
 *
 * One that runs has them in a mount namespace of its own. Of one that does not they are mounted for us alone, in a mount namespace that goes with
 * this process: nobody else sees the mounts, and nothing is left of them when somebody kills us.
 */

import { OperationError } from '../base/errors.ts'
import { openInit } from '../container/kill.ts'
import { findContainer as findInner, liveContainer } from '../container/store.ts'
import { mustOpenAt, openAt, openDirectoryName, withFd } from '../executor/embedded-at.ts'
import { attempt, failure, must } from '../executor/embedded-call.ts'
import { close, open } from '../executor/embedded-files.ts'
import { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY } from '../linux/files.ts'
import { MS_PRIVATE, MS_RDONLY, MS_REC } from '../linux/mount.ts'
import { lowerOf, NAMED_FILES } from './config-mounts.ts'
import { type EngineContainer, readEngineContainer } from './containers.ts'
import type { Intent, IntentMount } from './intent.ts'
import { withContainerLock } from './lock.ts'
import { isMountable, isMounted, mountFileSystem } from './mounted-volumes.ts'
import { asOwner, hasIdsOfContainers } from './owner.ts'
import { type Engine, volumePath } from './place.ts'

const MS_BIND = 0x1000
const MS_REMOUNT = 0x20
const CLONE_NEWNS = 0x20000

export interface RootOptions {
  /** Mount volumes too, where it does not run; true if undefined. */
  readonly hasVolumes?: boolean
}

/** `fd` is an O_PATH descriptor; ids are as idsOf says within `body`, which runs as the owner of the files. Throws `unsupported` for one that has no files while it does not run. */
export function withContainerRoot<Result>(
  engine: Engine,
  container: EngineContainer,
  body: (fd: number) => Result,
  options: RootOptions = {},
): Result {
  const { status, record } = container
  const live = (): Result =>
    withFd(engine.machine.native, rootOfLive(engine, record.id), (fd) => asOwner(engine, () => body(fd)))
  if (status === 'running' || status === 'paused') return live()
  // Nobody starts it meanwhile: two mounts of one overlay must not be written to.
  return withContainerLock(engine, record.id, () => {
    const now = readEngineContainer(engine, record.id)
    if (now?.status === 'running' || now?.status === 'paused') return live()
    return asOwner(engine, () => withFd(engine.machine.native, mountRoot(engine, container, options), body))
  })
}

/** The root of its first process, which beyond doubt is no later process with the same pid. */
function rootOfLive({ machine }: Engine, id: string): number {
  const { native, files, root } = machine
  const inner = liveContainer(findInner(files, root, id), `reach the files of ${id}`)
  const pidfd = openInit(machine, inner)
  try {
    const fd = open(native, `/proc/${inner.init.pid}/root`, O_PATH)
    const alive = attempt(native, 'pidfd_send_signal', pidfd, 0, 0, 0)
    if (alive >= 0) return fd
    close(native, fd)
    throw failure(`reach the files of ${id}`, 'pidfd_send_signal', alive)
  } finally {
    close(native, pidfd)
  }
}

function mountRoot(engine: Engine, { record }: EngineContainer, { hasVolumes = true }: RootOptions): number {
  const { native } = engine.machine
  const { mounts } = record.intent
  const reason = obstacle(record.intent)
  if (reason !== undefined)
    throw new OperationError({
      kind: 'unsupported',
      operation: `reach the files of ${record.name}`,
      reason,
      hint: `coffer start ${record.name}`,
    })
  must(native, 'have mounts of our own', 'unshare', CLONE_NEWNS)
  must(native, 'keep our mounts to ourselves', 'mount', 'none', '/', null, MS_REC | MS_PRIVATE, null)
  const fd = open(native, mountedRoot(engine, record.intent), O_PATH | O_DIRECTORY[native.architecture])
  try {
    const wanted = hasVolumes ? inOrder([...mounts, ...namedMounts(engine, record.intent)]) : []
    for (const one of wanted) mountOne(engine, fd, one)
    if (record.intent.readonlyRoot) remountReadOnly(engine, `/proc/self/fd/${fd}`)
    return fd
  } catch (error) {
    close(native, fd)
    throw error
  }
}

function obstacle({ root, mounts }: Intent): string | undefined {
  if (root.kind === 'host') return 'what it wrote is gone with it'
  const translates = root.kind === 'layers' && root.translatesIds === true
  if (!translates && !mounts.some(({ options }) => options.includes('idmap'))) return undefined
  return 'the owners of its files are translated only while it runs'
}

/** Where it is mounted now. */
function mountedRoot({ machine }: Engine, { root }: Intent): string {
  const { native } = machine
  if (root.kind !== 'layers') {
    const path = root.kind === 'directory' ? root.path : root.at
    // A mount of its own, so that it can be made read-only.
    must(native, 'mount the root of the container', 'mount', path, path, null, MS_BIND | MS_REC, null)
    return path
  }
  const data = `lowerdir=${lowerOf(root)},upperdir=${root.upper},workdir=${root.work}${hasIdsOfContainers(machine) ? ',userxattr' : ''}`
  must(native, 'mount the root of the container', 'mount', 'overlay', root.at, 'overlay', 0, data)
  return root.at
}

const inOrder = (mounts: readonly IntentMount[]): readonly IntentMount[] => {
  const depth = ({ destination }: IntentMount): number => destination.split('/').length
  return [...mounts].sort((a, b) => depth(a) - depth(b))
}

/** Its hosts, hostname and resolv.conf. */
const namedMounts = ({ machine: { files } }: Engine, { names }: Intent): readonly IntentMount[] =>
  names === undefined
    ? []
    : NAMED_FILES.map((name) => `${names.directory}/${name}`)
        .filter((source) => files.status(source) !== undefined)
        .map((source) => ({
          kind: 'bind',
          source,
          destination: `/etc/${source.slice(source.lastIndexOf('/') + 1)}`,
          options: [],
          makesSource: false,
        }))

/** At a place that is found as the container would find it, by its descriptor. What a tmpfs held is gone. */
function mountOne(engine: Engine, root: number, wanted: IntentMount): void {
  const { native, files } = engine.machine
  if (wanted.kind === 'tmpfs') return
  const one = mountedHere(engine, wanted)
  const source = files.status(one.source)
  if (source === undefined) return
  const target = targetIn(engine, root, one.destination, source.kind === 'directory')
  if (target === undefined) return
  withFd(native, target, () => attach(engine, one, `/proc/self/fd/${target}`))
  if (!one.options.includes('ro') && !one.options.includes('rro')) return
  withFd(native, mustOpenAt(native, { directory: root, path: one.destination, manner: 'in-root' }), (mounted) =>
    remountReadOnly(engine, `/proc/self/fd/${mounted}`),
  )
}

/** A volume that is a file system of its own, and that no container uses now, is mounted over the directory that it does not need. */
function mountedHere(engine: Engine, one: Exclude<IntentMount, { kind: 'tmpfs' }>): typeof one {
  if (!isMountable(one) || isMounted(engine, one.name)) return one
  const source = `${volumePath(engine, one.name)}/_data`
  mountFileSystem(engine, one, source)
  return { ...one, source }
}

function attach({ machine: { native } }: Engine, one: Exclude<IntentMount, { kind: 'tmpfs' }>, at: string): void {
  const operation = `mount ${one.source}`
  if (one.view !== undefined) {
    const parts = { lowerdir: one.source, upperdir: one.view.upper, workdir: one.view.work }
    const data = Object.entries(parts).map(([name, path]) => `${name}=${path.replace(/[\\:,]/g, '\\$&')}`)
    must(native, operation, 'mount', 'overlay', at, 'overlay', 0, data.join(','))
    return
  }
  const path = one.kind === 'volume' ? (one.subpath ?? '.') : '.'
  const directory = open(native, one.source, O_PATH)
  withFd(native, directory, () => {
    const isWhole = path === '.'
    const source = isWhole ? directory : mustOpenAt(native, { directory, path, manner: 'in-root' })
    must(native, operation, 'mount', `/proc/self/fd/${source}`, at, null, MS_BIND | MS_REC, null)
    if (!isWhole) close(native, source)
  })
}

const remountReadOnly = ({ machine: { native } }: Engine, path: string): void => {
  must(native, `make ${path} read-only`, 'mount', 'none', path, null, MS_BIND | MS_REMOUNT | MS_RDONLY, null)
}

/** As a start would: what is not there is made. Undefined where something else is in the way. */
function targetIn(engine: Engine, root: number, path: string, isDirectory: boolean): number | undefined {
  const { native } = engine.machine
  const found = openAt(native, { directory: root, path, manner: 'in-root' })
  if (found !== undefined) return found
  const parts = path.split('/').filter((part) => part !== '')
  const last = parts[parts.length - 1]
  if (last === undefined || parts.includes('..')) return undefined
  const above = parts.slice(0, -1).join('/')
  const parent = targetIn(engine, root, `/${above}`, true)
  if (parent === undefined) return undefined
  return withFd(native, parent, () => {
    if (isDirectory) {
      must(native, `make ${path}`, 'mkdirat', parent, last, 0o755)
      return openDirectoryName(native, parent, last)
    }
    const flags = O_WRONLY | O_CREAT | O_NOFOLLOW[native.architecture]
    close(native, must(native, `make ${path}`, 'openat', parent, last, flags, 0o644))
    return mustOpenAt(native, { directory: parent, path: last, manner: 'beneath', flags: O_RDONLY })
  })
}

export interface Ids {
  readonly uid: number
  readonly gid: number
}

/**
 * Ids as this process sees them on the disk, and as the container calls them. Who has no map has the ids of the host; who has those of the
 * container already, none that the container has not.
 */
export function idsOf(
  { machine }: Engine,
  { userMaps }: Intent,
): {
  readonly toHost: (ids: Ids) => Ids
  readonly toContainer: (ids: Ids) => Ids
} {
  const same = ({ uid, gid }: Ids): Ids => ({ uid, gid })
  if (userMaps === undefined) return { toHost: same, toContainer: same }
  const isInside = hasIdsOfContainers(machine)
  const seen = (mappings: Mappings): Mappings =>
    isInside ? mappings.map((one) => ({ ...one, hostID: one.containerID })) : mappings
  const [uids, gids] = [seen(userMaps.uidMappings), seen(userMaps.gidMappings)]
  const map = (way: 'toHost' | 'toContainer') => (ids: Ids) => ({
    uid: translate(uids, ids.uid, way),
    gid: translate(gids, ids.gid, way),
  })
  return { toHost: map('toHost'), toContainer: map('toContainer') }
}

type Mappings = NonNullable<Intent['userMaps']>['uidMappings']

/** An id that has none on the other side becomes that of root there. */
function translate(mappings: Mappings, id: number, way: 'toHost' | 'toContainer'): number {
  const [from, to] = way === 'toHost' ? (['containerID', 'hostID'] as const) : (['hostID', 'containerID'] as const)
  const found = mappings.find((one) => id >= one[from] && id < one[from] + one.size)
  if (found !== undefined) return found[to] + id - found[from]
  return way === 'toHost' ? translate(mappings, mappings[0]?.containerID ?? 0, way) : 0
}
