/**
 * The directories between the mounted cgroup and that of a container, as for `/pods/one/web-1`: what is missing of them coffer makes, and what
 * it made it removes, once nothing is in it any more.
 *
 * Containers share them, and the one that made them may be deleted first. By a mark on them the last one knows that they are coffer's to
 * remove. The record of a container says beforehand which ones were missing: a plan that is killed before it leaves the mark is known by that.
 *
 * A start that fails may be the last one below a directory that somebody else has left to it, so it looks for marks too.
 *
 * One container must not lose its way while it makes its cgroup, so making and removing hold a lock. It is on a file of the run root that only
 * its owner may open, so that nobody else can keep it. The kernel gives it back when its holder ends.
 *
 * Sources: cgroups(7), flock(2), xattr(7); fs/kernfs/inode.c: cgroups have attributes of users since 5.7.
 */

import { type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  flock,
  LOCK_EX,
  LOCK_UN,
  O_CREAT,
  O_RDONLY,
  openat,
  setxattr,
  unlinkat,
  XATTR_REPLACE,
} from '../linux/files.ts'
import type { CgroupParent, Place } from './cgroup-place.ts'
import type { Step } from './plan.ts'

export interface CgroupWay {
  /** The run root, absolute; it exists when the plan comes to it. */
  readonly root: string
  readonly isThere: (path: string) => boolean
}

const MARK = 'user.coffer'
const SEE = ['cgroups(7)']
/** Below the run root, and no container. */
export const WAY_FILE = '.cgroups'
const LOCK: Slot = slot('cgroup-way')

/** The deepest first. */
export const parentsOf = (places: readonly Place[], { isThere }: CgroupWay): readonly CgroupParent[] =>
  places.flatMap(({ parents }) => [...parents].reverse().map((path) => ({ path, isMade: !isThere(path) })))

const lock = (operation: number, why: string): Step => ({ call: flock(LOCK, operation), why, see: ['flock(2)'] })
const holdWay = lock(LOCK_EX, 'have nobody else make or remove directories of cgroups')
const leaveWay = lock(LOCK_UN, 'let others make and remove directories of cgroups')

/** Makes directories while nobody removes what they lie in; `parents` are all those on the way, the deepest first. */
export const makingWay = (root: string, steps: readonly Step[], parents: readonly string[]): readonly Step[] =>
  holdingWay(root, steps, [holdWay, ...parents.map(removeMarked), leaveWay])

/** `undo` is the last thing that a failed plan takes back of it. */
const holdingWay = (root: string, steps: readonly Step[], undo: readonly Step[] = []): readonly Step[] => [
  {
    call: openat(AT_FDCWD, `${root}/${WAY_FILE}`, O_RDONLY | O_CREAT, 0o600),
    why: 'take turns with whoever makes or removes containers',
    see: ['flock(2)'],
    into: LOCK,
  },
  undo.length === 0 ? holdWay : { ...holdWay, undo },
  ...steps,
  leaveWay,
]

/** For `undo`, inside of `holdingWay` or behind it: whoever holds the lock gets it again. */
export const takeBackParent = (path: string): readonly Step[] => [holdWay, ...removeMade(path), leaveWay]

export const removeParents = (root: string, parents: readonly CgroupParent[]): readonly Step[] =>
  parents.length === 0
    ? []
    : holdingWay(
        root,
        parents.flatMap(({ path, isMade }) => (isMade ? removeMade(path) : [removeMarked(path)])),
      )

const mark = (path: string, why: string): Step => ({
  call: setxattr(path, MARK),
  why,
  see: ['setxattr(2)', 'xattr(7)'],
  // ENOSPC: it has as many attributes as it can have, and stays: fs/kernfs/inode.c. EPERM, EACCES: it has another owner by now.
  tolerate: ['ENOENT', 'ENOSPC', 'EPERM', 'EACCES'],
})

/** Behind mkdir(2). */
export const markMade = (path: string): Step => mark(path, `know ${path} for one that coffer made`)

const removeMade = (path: string): readonly Step[] => [
  {
    call: unlinkat(AT_FDCWD, path, AT_REMOVEDIR),
    why: `remove ${path}, which it made`,
    see: SEE,
    // EBUSY: other containers are below it, or processes in it.
    tolerate: ['EBUSY', 'ENOTEMPTY', 'ENOENT'],
  },
  mark(path, `if it is still there, leave ${path} to whoever is the last in it`),
]

const removeMarked = (path: string): Step => ({
  call: setxattr(path, MARK, XATTR_REPLACE),
  why: `know whether ${path} was left to it`,
  see: ['setxattr(2)', 'xattr(7)'],
  // ENODATA: it is not coffer's. EPERM, EACCES: not even the caller's.
  tolerate: ['ENODATA', 'ENOENT', 'EPERM', 'EACCES'],
  then: removeMade(path),
})
