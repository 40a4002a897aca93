/**
 * Where the cgroup of a container is: one directory in each hierarchy.
 *
 * | linux.cgroupsPath | v1                       | v2                                                           |
 * |-------------------|--------------------------|--------------------------------------------------------------|
 * | `/a/b`            | MOUNT/a/b                | MOUNT/a/b                                                    |
 * | `a/b`             | MOUNT/OWN/a/b            | MOUNT/PARENT-OF-OWN/a/b, as a cgroup with processes in it,   |
 * |                   |                          | the caller's, cannot hand on controllers                     |
 * | absent            | `/coffer-ID`; without privilege `coffer-ID`                                             |
 *
 * `..` never leads out of the mount or of the caller's cgroup: the path is cleaned as if that were the root. runc 1.1 does the same, but for
 * an absent path, which it takes for the relative path `ID`.
 *
 * Source: oci:runtime-spec/config-linux.md#cgroups-path
 */

import { OperationError } from '../base/errors.ts'
import { type Slot, slot } from '../linux/call.ts'
import { type CgroupLayout, type Hierarchy, nameInV2 } from '../linux/cgroup.ts'
import { AT_FDCWD, type DirFd } from '../linux/files.ts'

/** A directory to be opened or made: `path` is below `at`, and absolute where `at` is AT_FDCWD. */
export interface Directory {
  readonly at: DirFd
  readonly path: string
}

/** The cgroup of a container in one hierarchy. */
export interface Place extends Directory {
  readonly version: 1 | 2
  /** What people call it: `memory`, `cpu,cpuacct`, `systemd`, `unified`. */
  readonly name: string
  readonly controllers: readonly string[]
  /** Directories on the way to it that may be missing, the highest first. */
  readonly parents: readonly string[]
  /** The mounted cgroup that holds the first of `parents`; `.` for a private mount. */
  readonly top: string
  /** Only for a hierarchy that the host has not mounted: where the plan keeps its mount. */
  readonly mount?: Slot
}

/** A directory on the way to a cgroup. */
export interface CgroupParent {
  /** Absolute. */
  readonly path: string
  /** It was missing when the container was planned. */
  readonly isMade: boolean
}

/** What state.json keeps of a cgroup. */
export interface CgroupDirectories {
  /** Controller → absolute directory; `''` is v2, `name=systemd` a hierarchy without controllers. As runc's `cgroup_paths`. */
  readonly paths: Readonly<Record<string, string>>
  /** Controllers of a hierarchy that is mounted nowhere, `net_cls` or `net_cls,net_prio` → path below its root. */
  readonly unmounted?: Readonly<Record<string, string>>
  /** The way to it, the deepest first, where it is not right below the mounted cgroup. */
  readonly parents?: readonly CgroupParent[]
}

export interface CgroupAddress {
  readonly id: string
  readonly cgroupsPath?: string | undefined
  readonly layout: CgroupLayout
  readonly isRootless: boolean
}

/** The places in all mounted hierarchies that the caller may use. Throws `invalid` for a path that names no cgroup below the root. */
export function placesOf(address: CgroupAddress): readonly Place[] {
  const path = cleanPath(address)
  const places: Place[] = []
  for (const hierarchy of address.layout.hierarchies) {
    const base = isUsable(hierarchy, address, path) ? baseFor(hierarchy, path, address) : undefined
    if (base !== undefined) places.push(placeIn(hierarchy, base, path.parts))
  }
  return places
}

/**
 * A place in a hierarchy that the host has not mounted: one directory right below its root, as any other that were left behind would keep
 * the hierarchy alive.
 */
export function unmountedPlace(group: readonly string[], address: CgroupAddress): Place {
  const mount = mountSlot(group)
  const path = cleanPath(address).parts.join('~')
  return { version: 1, name: group.join(','), controllers: group, at: mount, path, parents: [], top: '.', mount }
}

/** Inverse of `directoriesOf`, for cgroups that exist. */
export function placesAt({ paths, unmounted = {} }: CgroupDirectories): readonly Place[] {
  const byPath = new Map<string, string[]>()
  for (const [controller, path] of Object.entries(paths)) {
    const known = byPath.get(path)
    if (known === undefined) byPath.set(path, [controller])
    else known.push(controller)
  }
  const mounted = [...byPath].map(([path, controllers]): Place => {
    const version = controllers.includes('') ? 2 : 1
    const list = version === 2 ? [] : controllers
    return { version, name: nameOf(version, list), controllers: list, at: AT_FDCWD, path, parents: [], top: path }
  })
  const others = Object.entries(unmounted).map(([list, path]): Place => {
    const controllers = list.split(',')
    const mount = mountSlot(controllers)
    return { version: 1, name: list, controllers, at: mount, path, parents: [], top: '.', mount }
  })
  return [...mounted, ...others]
}

export function directoriesOf(places: readonly Place[]): CgroupDirectories {
  const paths: Record<string, string> = {}
  const unmounted: Record<string, string> = {}
  for (const { version, controllers, path, mount } of places) {
    if (mount !== undefined) unmounted[controllers.join(',')] = path
    else if (version === 2) paths[''] = path
    else for (const controller of controllers) paths[controller] = path
  }
  return { paths, unmounted }
}

const nameOf = (version: 1 | 2, controllers: readonly string[]): string =>
  version === 2 ? 'unified' : controllers.join(',').replace('name=', '')

const mountSlot = (group: readonly string[]): Slot => slot(`cgroup-mount:${group.join(',')}`)

/** A hierarchy with only a name is joined beside v1 controllers; on a v2 host nobody looks at it. */
function isUsable(hierarchy: Hierarchy, { layout, isRootless, cgroupsPath }: CgroupAddress, path: CleanPath): boolean {
  if (hierarchy.readonly) return false
  if (layout.mode === 'v2' && hierarchy.version === 1) return false
  if (!isRootless) return true
  // A path that was asked for is tried whoever owns it, as the caller may have been given just that cgroup.
  const isAskedFor = cgroupsPath !== undefined && cgroupsPath !== '' && path.isAbsolute
  return hierarchy.isDelegated || (isAskedFor && hierarchy.version === 2)
}

/** What is above `parts` exists: it is the mount, or the caller is in it. */
function placeIn({ version, controllers, mountPoint }: Hierarchy, base: string, parts: readonly string[]): Place {
  const top = mountPoint + base
  const parents: string[] = []
  let path = top
  for (const part of parts) {
    if (path !== top) parents.push(path)
    path = `${path}/${part}`
  }
  return { version, name: nameOf(version, controllers), controllers, at: AT_FDCWD, path, parents, top }
}

function baseFor(hierarchy: Hierarchy, path: CleanPath, { cgroupsPath }: CgroupAddress): string | undefined {
  const base = path.isAbsolute ? '' : baseOf(hierarchy)
  if (base !== undefined || cgroupsPath === undefined || cgroupsPath === '') return base
  const problem = "is relative, and the caller's own cgroup is not below the mounted one"
  throw refusePath(cgroupsPath, problem, 'begin it with a slash')
}

/** Where relative paths begin: below the mount point, and `''` for itself. */
function baseOf({ version, own }: Hierarchy): string | undefined {
  if (own === undefined) return undefined
  if (version === 1) return own === '/' ? '' : own
  return own.slice(0, own.lastIndexOf('/'))
}

interface CleanPath {
  readonly isAbsolute: boolean
  /** One name at least. */
  readonly parts: readonly string[]
}

/** Throws `invalid` if nothing is left of the path. */
function cleanPath({ id, cgroupsPath, isRootless }: CgroupAddress): CleanPath {
  if (cgroupsPath === undefined || cgroupsPath === '') return { isAbsolute: !isRootless, parts: [`coffer-${id}`] }
  if (cgroupsPath.length >= PATH_MAX) throw refusePath(`${cgroupsPath.slice(0, 40)}…`, 'is longer than a path can be')
  for (const character of cgroupsPath) {
    // cgroup names end up in lines of /proc/PID/cgroup: kernel/cgroup/cgroup.c, cgroup_mkdir.
    if (character < ' ' || character === '\u007f') throw refusePath(cgroupsPath, 'has a control character in it')
  }
  const parts = partsOf(cgroupsPath)
  if (parts.length === 0) throw refusePath(cgroupsPath, 'names no cgroup below the root', 'write it like /group/name')
  return { isAbsolute: cgroupsPath.startsWith('/'), parts }
}

/** A look-up takes no more, its NUL included: path_resolution(7). */
const PATH_MAX = 4096

/** The names of a path, with `.` and `..` resolved as at a root. */
function partsOf(path: string): readonly string[] {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts
}

function refusePath(path: string, problem: string, hint?: string): OperationError {
  return new OperationError({
    kind: 'invalid',
    operation: 'place the cgroup',
    reason: `linux.cgroupsPath is ${JSON.stringify(path)}, which ${problem}`,
    ...(hint === undefined ? {} : { hint }),
  })
}

/** The place whose files set the limits of `controller` (by its v1 name): v1 where it is mounted, else v2 where it is handed on. */
export function placeFor(controller: string, places: readonly Place[], layout: CgroupLayout): Place | undefined {
  const v1 = places.find((place) => place.version === 1 && place.controllers.includes(controller))
  if (v1 !== undefined) return v1
  return handedOn(layout).includes(nameInV2(controller)) ? places.find(({ version }) => version === 2) : undefined
}

/**
 * The v2 controllers that a container can have. On a pure v2 host a plan hands on what the mounted cgroup has. Beside v1 it uses what the host
 * hands on already and leaves the rest to whoever may want to bind it to v1.
 */
export const handedOn = ({ mode, available, enabled }: CgroupLayout): readonly string[] =>
  mode === 'v2' ? available : enabled
