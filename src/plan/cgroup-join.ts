/** How a process gets into cgroups: init into those just made, and `exec` into those of a running container. */

import { OperationError } from '../base/errors.ts'
import { type Slot, slot } from '../linux/call.ts'
import { TASKS } from '../linux/cgroup.ts'
import { O_RDONLY, O_WRONLY, openat, write } from '../linux/files.ts'
import { type CgroupDirectories, type Place, placesAt } from './cgroup-place.ts'
import { mountHierarchy } from './cgroup-private.ts'
import { CGROUP } from './cgroup-v2.ts'
import type { Step } from './plan.ts'

export interface CgroupJoin {
  /** Outside, before clone3. */
  readonly open: readonly Step[]
  /** For clone3: the descriptor of the v2 cgroup; `open` or `create` sets it. */
  readonly cloneInto?: Slot | undefined
  /** In the child, before anything that costs memory or time. */
  readonly join: readonly Step[]
}

const SEE = ['cgroups(7)']

/** For places that `create` has made and, of v2, opened. */
export function joinPlaces(places: readonly Place[]): CgroupJoin {
  const v1 = places.filter(({ version }) => version === 1)
  return {
    open: v1.map((place) => ({
      call: openat(place.at, `${place.path}/${TASKS}`, O_WRONLY),
      why: `let it join its ${place.name} cgroup`,
      see: SEE,
      into: tasksSlot(place),
    })),
    cloneInto: places.some(({ version }) => version === 2) ? CGROUP : undefined,
    join: v1.map((place) => ({
      // 0 is the writing thread itself.
      call: write(tasksSlot(place), '0', 1),
      why: `join its ${place.name} cgroup`,
      see: SEE,
    })),
  }
}

const tasksSlot = (place: Place): Slot => slot(`tasks:${place.name}`)

export interface ExecJoin {
  readonly cgroup: CgroupDirectories
  /** The flags `--cgroup [CONTROLLER,…:]PATH`, as given. */
  readonly subCgroups?: readonly string[] | undefined
  /**
   * The v2 cgroup that init is in now, absolute, if it lies below that of the container: init may have divided its cgroup, and a cgroup that
   * hands controllers on takes no process.
   */
  readonly initDirectory?: string | undefined
}

/** Throws `invalid` for sub-cgroups that are not below the container's. */
export function planCgroupJoin({ cgroup, subCgroups = [], initDirectory }: ExecJoin): CgroupJoin {
  const subPaths = subPathsOf(subCgroups)
  checkControllers(subPaths, cgroup)
  const places = placesAt(cgroup).map((place) => {
    const subPath = place.version === 2 ? subPaths.get('') : (subPathFor(place, subPaths) ?? subPaths.get(''))
    if (subPath !== undefined) return { ...place, path: pathBelow(place.path, subPath) }
    return place.version === 2 && initDirectory !== undefined ? { ...place, path: initDirectory } : place
  })
  const { open, cloneInto, join } = joinPlaces(places)
  const mounts = places.flatMap(({ mount, controllers }) =>
    mount === undefined ? [] : mountHierarchy(controllers, mount),
  )
  const v2 = places.filter(({ version }) => version === 2)
  return {
    open: [
      ...mounts,
      ...v2.map(({ at, path }) => ({
        call: openat(at, path, O_RDONLY),
        why: 'name its cgroup by a descriptor',
        see: SEE,
        into: CGROUP,
      })),
      ...open,
    ],
    cloneInto,
    join,
  }
}

const subPathFor = ({ controllers }: Place, subPaths: ReadonlyMap<string, string>): string | undefined => {
  const controller = controllers.find((name) => subPaths.has(name))
  return controller === undefined ? undefined : subPaths.get(controller)
}

/** Controller → path; `''` stands for all. As runc: one path without controllers, or any number with. */
function subPathsOf(flags: readonly string[]): ReadonlyMap<string, string> {
  const paths = new Map<string, string>()
  for (const flag of flags) {
    const colon = flag.indexOf(':')
    if (colon === -1 && flags.length > 1)
      throw refuse(flag, 'has no controller before its path', 'write it like memory:PATH')
    const controllers = colon === -1 ? [''] : flag.slice(0, colon).split(',')
    for (const controller of controllers) {
      if (colon !== -1 && controller === '') throw refuse(flag, 'has an empty controller')
      if (paths.has(controller)) throw refuse(flag, `names ${controller} a second time`)
      paths.set(controller, flag.slice(colon + 1))
    }
  }
  return paths
}

function checkControllers(subPaths: ReadonlyMap<string, string>, { paths, unmounted = {} }: CgroupDirectories): void {
  const known = [...Object.keys(paths), ...Object.keys(unmounted).flatMap((list) => list.split(','))]
  for (const [controller, path] of subPaths) {
    if (controller !== '' && !known.includes(controller)) {
      throw refuse(`${controller}:${path}`, 'names a controller in which the container has no cgroup')
    }
  }
}

/** A path that leaves the container's cgroup is refused, not cut: a process must not be somewhere else than was said. */
function pathBelow(directory: string, path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..' && parts.pop() === undefined) throw refuse(path, "leads out of the container's cgroup")
    if (part !== '..' && part !== '.' && part !== '') parts.push(part)
  }
  return [directory, ...parts].join('/')
}

function refuse(flag: string, problem: string, hint?: string): OperationError {
  return new OperationError({
    kind: 'invalid',
    operation: 'join the cgroup',
    reason: `--cgroup ${JSON.stringify(flag)} ${problem}`,
    ...(hint === undefined ? {} : { hint }),
  })
}
