/** What of a container lies outside of it, so that criu must not look into it: bind mounts, covered files, descriptors, namespaces. */

import type { Files } from '../base/files.ts'
import { DEFAULT_DEVICES } from '../linux/devices.ts'
import type { MountInfo } from '../observe/mounts.ts'
import type { Config } from '../oci/config.ts'
import { isBind } from '../oci/mounts.ts'
import { MASK_SOURCE } from '../plan/criu.ts'
import { cleanPath } from '../plan/targets.ts'
import type { JoinedNamespace } from './criu.ts'
import { namespaceFile } from './namespaces.ts'

/** A mount of which only the place is remembered; `key` is how a restore finds what to mount there. */
interface External {
  readonly path: string
  readonly key: string
}

/** The words of `criu dump --external` for a container that runs. */
export function externalsOf(
  files: Files,
  { config, pid, mounts, joined }: Seen & { readonly config: Config; readonly joined: readonly JoinedNamespace[] },
): readonly string[] {
  const descriptors = readDescriptors(files, pid, mounts)
  return [
    ...externalMounts(files, config, { pid, mounts }).map(({ path, key }) => `mnt[${path}]:${key}`),
    ...joined.map(({ type, name, key }) => `${name}[${inodeOf(files, namespaceFile(pid, type))}]:${key}`),
    ...new Set(descriptors.filter((key) => key.startsWith('file['))),
  ]
}

interface Seen {
  /** Of init. */
  readonly pid: number
  readonly mounts: readonly MountInfo[]
}

function externalMounts(files: Files, config: Config, { pid, mounts }: Seen): readonly External[] {
  const root = `/proc/${pid}/root`
  const binds = config.mounts.filter(isBind).map(({ destination }): External => {
    const clean = cleanPath(destination)
    return { path: resolveIn(files, root, clean), key: clean }
  })
  const masks = config.linux.maskedPaths
    .map((path) => resolveIn(files, root, cleanPath(path)))
    // A directory is covered by a tmpfs, which criu makes itself.
    .filter((path) => files.status(root + path)?.kind === 'character')
    .map((path): External => ({ path, key: MASK_SOURCE }))
  const cgroups = ownsCgroupNamespace(config) ? [] : mounts.flatMap(cgroupMount)
  const devices = devicePaths(config).map((path): External => ({ path, key: path }))
  const wanted = [...binds, ...masks, ...cgroups, ...devices]
  return mounts.flatMap(({ mountPoint }) => wanted.find(({ path }) => path === mountPoint) ?? [])
}

const ownsCgroupNamespace = ({ linux }: Config): boolean =>
  linux.namespaces.some(({ type, path }) => type === 'cgroup' && path === undefined)

/** Without a cgroup namespace the container has bind mounts of its cgroups. */
function cgroupMount({ mountPoint, fileSystem, superOptions }: MountInfo): readonly External[] {
  if (fileSystem === 'cgroup2') return [{ path: mountPoint, key: cgroupKey('') }]
  if (fileSystem !== 'cgroup') return []
  const controller = superOptions.find((word) => !NO_CONTROLLERS.includes(word)) ?? ''
  return [{ path: mountPoint, key: cgroupKey(controller) }]
}

/** Options of a v1 hierarchy that are not what it controls: kernel/cgroup/cgroup-v1.c, cgroup1_show_options. */
const NO_CONTROLLERS = ['rw', 'ro', 'xattr', 'noprefix', 'clone_children', 'cpuset_v2_mode', 'favordynmods']

/** The key of the mount that shows the container its cgroup; v2 is the empty name. */
export const cgroupKey = (controller: string): string => `cgroup ${controller === '' ? 'v2' : controller}`

/** In a user namespace each of them is a bind mount. */
export const devicePaths = ({ linux }: Config): readonly string[] => [
  ...new Set([
    ...DEFAULT_DEVICES.map(({ name }) => `/dev/${name}`),
    ...linux.devices.map(({ path }) => cleanPath(path)),
  ]),
]

/**
 * The path without symbolic links, as a process with this root would see it.
 *
 * The container may change links meanwhile: what comes out only selects among its mounts.
 */
function resolveIn(files: Files, root: string, path: string): string {
  let rest = path.split('/').filter((name) => name !== '')
  let at: string[] = []
  for (let links = 0; rest.length > 0 && links < MAX_LINKS; ) {
    const [name = '', ...others] = rest
    rest = others
    if (name === '..') {
      at.pop()
      continue
    }
    const target = files.readLink(`${root}/${[...at, name].join('/')}`)
    if (target === undefined) {
      at.push(name)
      continue
    }
    links++
    if (target.startsWith('/')) at = []
    rest = [...target.split('/').filter((one) => one !== '' && one !== '.'), ...rest]
  }
  return `/${[...at, ...rest].join('/')}`
}

const MAX_LINKS = 40

/**
 * What init has as descriptors 0, 1 and 2, in words that criu knows: `pipe:[INODE]`, and `file[MOUNT:INODE]` for a file that is on no mount of
 * the container. Other ones are as /proc shows them, and need nothing.
 */
export function readDescriptors(files: Files, pid: number, mounts: readonly MountInfo[]): readonly string[] {
  return [0, 1, 2].map((fd) => {
    const link = files.readLink(`/proc/${pid}/fd/${fd}`) ?? ''
    if (!link.startsWith('/')) return link
    const mount = Number(/^mnt_id:\s*(\d+)/m.exec(files.readText(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1])
    const inode = inodeOf(files, `/proc/${pid}/fd/${fd}`)
    if (inode === undefined || Number.isNaN(mount) || mounts.some(({ id }) => id === mount)) return link
    return isTerminal(link) ? link : `file[${mount.toString(16)}:${BigInt(inode).toString(16)}]`
  })
}

/** Terminals of the caller are for --shell-job. */
const isTerminal = (path: string): boolean => /^\/dev\/(?:pts\/|tty|console)/.test(path)

/** In decimal. */
function inodeOf(files: Files, path: string): string | undefined {
  const identity = files.status(path)?.identity
  return identity?.slice(identity.lastIndexOf(':') + 1)
}
