/** Removes the cgroups of a container. rmdir(2), cgroups(7) */

import { type Buffer, buffer } from '../linux/call.ts'
import { AT_FDCWD, AT_REMOVEDIR, close, STATX_NLINK, statx, unlinkat } from '../linux/files.ts'
import { removeParents } from './cgroup-parents.ts'
import { type CgroupDirectories, type Directory, type Place, placesAt } from './cgroup-place.ts'
import { mountHierarchy, waitForRelease } from './cgroup-private.ts'
import type { Step } from './plan.ts'

const SEE = ['cgroups(7)']

/**
 * For a container whose processes are gone or killed. `below`: the cgroups that it made in its own, the deepest first, as listCgroupsBelow
 * (observe/cgroup.ts) finds them. `root`: the run root. What is gone already counts as removed.
 */
export function planCgroupRemove(
  directories: CgroupDirectories,
  root: string,
  below: readonly string[] = [],
): readonly Step[] {
  const places = placesAt(directories)
  return [
    ...below.map((path) => removeDirectory({ at: AT_FDCWD, path }, `remove ${path}, which it made`)),
    ...places.flatMap((place) => (place.mount === undefined ? [] : mountHierarchy(place.controllers, place.mount))),
    ...removePlaces(places),
    ...removeParents(root, directories.parents ?? []),
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

/** struct statx of the cgroup that `unlessDivided` looks at last; to be read with `isWhole`. */
export const LAST_LOOK: Buffer = buffer('last-cgroup-statx', 256)
const LOOK = buffer('cgroup-statx', 256)
const LINKS_AT = 16
/** A cgroup has two names, and one more for each cgroup in it: fs/kernfs/dir.c, kernfs_link_sibling. */
const LINKS_ALONE = 2

/**
 * `steps`, which end with the removal of all that is left, if the container made no cgroups in its own: a plan has no loops, so it cannot
 * remove those. Otherwise nothing is removed, and LAST_LOOK tells so.
 */
export function unlessDivided({ paths }: CgroupDirectories, steps: readonly Step[]): readonly Step[] {
  const directories = [...new Set(Object.values(paths))]
  return directories.reduceRight<readonly Step[]>((then, path, index) => {
    const look = index === directories.length - 1 ? LAST_LOOK : LOOK
    return [
      {
        call: statx(AT_FDCWD, path, 0, STATX_NLINK, look),
        why: `see whether it made cgroups in ${path}`,
        see: [...SEE, 'statx(2)'],
        check: { in: look, offset: LINKS_AT, sizeBytes: 4, equals: LINKS_ALONE, errno: 'ENOTEMPTY' },
        // ENOENT: somebody else has removed it, and it is not known what else.
        tolerate: ['ENOTEMPTY', 'ENOENT'],
        then,
      },
    ]
  }, steps)
}

/** Whether the steps of `unlessDivided` ran, from the bytes of LAST_LOOK. */
export const isWhole = (bytes: Uint8Array): boolean =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(LINKS_AT, true) === LINKS_ALONE

/** A process that has ended leaves its cgroup a moment later, and until then it is busy. */
const removeDirectory = ({ at, path }: Directory, why: string): Step => ({
  call: unlinkat(at, path, AT_REMOVEDIR),
  why,
  see: SEE,
  tolerate: ['ENOENT'],
  retry: ['EBUSY'],
})
