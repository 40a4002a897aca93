/** Removes the cgroups of a container. rmdir(2), cgroups(7) */

import { AT_FDCWD, AT_REMOVEDIR, close, unlinkat } from '../linux/files.ts'
import { type CgroupDirectories, type Directory, type Place, placesAt } from './cgroup-place.ts'
import { mountHierarchy, waitForRelease } from './cgroup-private.ts'
import type { Step } from './plan.ts'

const SEE = ['cgroups(7)']

/**
 * For a container whose processes are gone or killed. `below`: the cgroups that it made in its own, the deepest first, as listCgroupsBelow
 * (observe/cgroup.ts) finds them. What is gone already counts as removed.
 */
export function planCgroupRemove(directories: CgroupDirectories, below: readonly string[] = []): readonly Step[] {
  const places = placesAt(directories)
  return [
    ...below.map((path) => removeDirectory({ at: AT_FDCWD, path }, `remove ${path}, which it made`)),
    ...places.flatMap((place) => (place.mount === undefined ? [] : mountHierarchy(place.controllers, place.mount))),
    ...removePlaces(places),
    // The descriptor is the last mount of the hierarchy.
    ...places.flatMap(({ mount }): readonly Step[] =>
      mount === undefined ? [] : [{ call: close(mount), why: 'give the controller back', see: SEE }],
    ),
  ]
}

export const removePlaces = (places: readonly Place[]): readonly Step[] => [
  ...places.map((place) => removeDirectory(place, `remove its ${place.name} cgroup`)),
  ...(places.some(({ mount }) => mount !== undefined) ? [waitForRelease] : []),
]

/** A process that has ended leaves its cgroup a moment later, and until then it is busy. */
const removeDirectory = ({ at, path }: Directory, why: string): Step => ({
  call: unlinkat(at, path, AT_REMOVEDIR),
  why,
  see: SEE,
  tolerate: ['ENOENT'],
  retry: ['EBUSY'],
})
