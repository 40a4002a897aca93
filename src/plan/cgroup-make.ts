/** Makes the directories of a cgroup: in each hierarchy the way to it, then the cgroup itself. Sources: cgroups(7), kernel:admin-guide/cgroup-v2.rst */

import { buffer, slot } from '../linux/call.ts'
import { type CgroupLayout, copySetting, PROCS, SUBTREE_CONTROL } from '../linux/cgroup.ts'
import { AT_FDCWD, AT_REMOVEDIR, mkdirat, O_RDONLY, O_RDWR, openat, read, unlinkat } from '../linux/files.ts'
import type { Cpu } from '../oci/resources.ts'
import { openFile, openToRead, putValue, type Reason, setFile, V1, V2 } from './cgroup-files.ts'
import { type CgroupWay, makingWay, markMade, takeBackParent } from './cgroup-parents.ts'
import { type Directory, handedOn, type Place } from './cgroup-place.ts'
import { mountHierarchy, waitForRelease } from './cgroup-private.ts'
import { CGROUP } from './cgroup-v2.ts'
import type { Step } from './plan.ts'
import { noteLeft } from './state.ts'

const SEE = ['cgroups(7)']

export interface MakeWish {
  readonly layout: CgroupLayout
  /** v2 controllers that limits need, by their v2 names. */
  readonly needed: readonly string[]
  readonly cpu?: Cpu | undefined
  readonly way: CgroupWay
}

export function makePlaces(places: readonly Place[], wish: MakeWish): readonly Step[] {
  const first =
    places.find(({ controllers }) => controllers.includes('freezer')) ?? places.find(({ version }) => version === 2)
  const steps = places.flatMap((place) => {
    const ifFound = place === first ? useWhatIsThere(place) : []
    return place.version === 1 ? makeInV1(place, ifFound, wish) : makeInV2(place, ifFound, wish)
  })
  const parents = places.flatMap((place) => [...place.parents].reverse())
  return parents.length === 0 ? steps : makingWay(wish.way.root, steps, parents)
}

function makeInV1(place: Place, ifFound: readonly Step[], { cpu }: MakeWish): readonly Step[] {
  const isCpuset = place.controllers.includes('cpuset')
  const missing = isCpuset ? [...(cpu?.cpus ? [] : ['cpuset.cpus']), ...(cpu?.mems ? [] : ['cpuset.mems'])] : []
  const above = place.parents[place.parents.length - 1] ?? place.top
  return [
    ...(place.mount === undefined ? [] : mountHierarchy(place.controllers, place.mount)),
    ...place.parents.flatMap((path, index) => [
      makeParent({ at: place.at, path }),
      ...(isCpuset ? inheritCpuset({ at: place.at, path }, place.parents[index - 1] ?? place.top) : []),
    ]),
    makeLeaf(
      place,
      missing.flatMap((file) => copyFromAbove(place, above, file)),
      ifFound,
    ),
  ]
}

function makeInV2(place: Place, ifFound: readonly Step[], { layout, needed }: MakeWish): readonly Step[] {
  const wanted = handedOn(layout)
  // The host does it already at the mounted cgroup, most of the time.
  const isDone =
    layout.hierarchies.some(({ mountPoint }) => mountPoint === place.top) &&
    wanted.every((name) => layout.enabled.includes(name))
  return [
    ...(isDone ? [] : handOn(place.top, wanted, needed)),
    ...place.parents.flatMap((path) => [makeParent({ at: place.at, path }), ...handOn(path, wanted, needed)]),
    makeLeaf(place, [], ifFound),
    { call: openat(place.at, place.path, O_RDONLY), why: 'name its cgroup by a descriptor', see: SEE, into: CGROUP },
  ]
}

const makeParent = ({ at, path }: Directory): Step => ({
  call: mkdirat(at, path, 0o755),
  why: `have ${path} for its cgroup`,
  see: SEE,
  tolerate: ['EEXIST'],
  then: [markMade(path)],
  undo: takeBackParent(path),
})

const makeLeaf = (place: Place, ifMade: readonly Step[], ifFound: readonly Step[]): Step => ({
  call: mkdirat(place.at, place.path, 0o755),
  why: `make its ${place.name} cgroup`,
  see: SEE,
  tolerate: ['EEXIST'],
  ...(ifMade.length === 0 ? {} : { then: ifMade }),
  ...(ifFound.length === 0 ? {} : { otherwise: ifFound }),
  undo: [
    {
      call: unlinkat(place.at, place.path, AT_REMOVEDIR),
      why: `remove its ${place.name} cgroup`,
      see: SEE,
      tolerate: ['ENOENT'],
      retry: ['EBUSY'],
    },
    noteLeft(place.at, place.path),
    ...(place.mount === undefined ? [] : [waitForRelease]),
  ],
})

/**
 * A cgroup that is there already may have been made for this container, with limits of its own. It must hold no process, which would share
 * all limits and be killed with the container, and must not be frozen, or init would stand still for ever.
 */
function useWhatIsThere(place: Place): readonly Step[] {
  const isV1 = place.version === 1
  const procs = slot(PROCS)
  const alone: Reason = { why: `have the cgroup ${place.path} for itself`, see: SEE }
  const thaw = isV1
    ? setFile(place, 'freezer.state', 'THAWED', {
        why: 'thaw the cgroup that it found',
        see: [`${V1}/freezer-subsystem.rst`],
      })
    : setFile(place, 'cgroup.freeze', '0', { why: 'thaw the cgroup that it found', see: [`${V2} "cgroup.freeze"`] })
  return [
    openToRead(place.at, `${place.path}/${PROCS}`, procs, alone),
    { call: read(procs, buffer('cgroup-first-pid', 16)), ...alone, check: { result: 0, errno: 'EBUSY' } },
    ...thaw,
  ]
}

/** A new cpuset of v1 has no CPU and no memory, and nobody can join it before it has. */
function copyFromAbove({ at, path }: Directory, above: string, file: string): readonly Step[] {
  const to = slot(file)
  const from = slot(`${file}-above`)
  const reason = { why: `let it use what ${above} may use`, see: [`${V1}/cpusets.rst`, 'sendfile(2)'] }
  return [
    openToRead(at, `${above}/${file}`, from, reason),
    { call: openat(at, `${path}/${file}`, O_RDWR), ...reason, into: to },
    { call: copySetting(from, to), ...reason },
  ]
}

/** The same for a directory on the way, which may be in use with settings of its own: an unset file reads as one newline. */
function inheritCpuset(directory: Directory, above: string): readonly Step[] {
  return ['cpuset.cpus', 'cpuset.mems'].flatMap((file) => {
    const [from, to, copy] = copyFromAbove(directory, above, file)
    if (from === undefined || to === undefined || copy === undefined) return []
    const { why, see } = copy
    const isUnset: Step = {
      call: read(slot(file), buffer(`${file}-before`, 8)),
      why,
      see,
      check: { result: 1, errno: 'EEXIST' },
      tolerate: ['EEXIST'],
      then: [from, copy],
    }
    return [to, isUnset]
  })
}

/**
 * Hands controllers on to the cgroups in `path`.
 *
 * All that the mounted cgroup has, as runc does, so that statistics are there too. If they cannot all be had, those that limits need must be;
 * the rest is given up. A cgroup with processes in it answers EBUSY.
 */
function handOn(path: string, wanted: readonly string[], needed: readonly string[]): readonly Step[] {
  if (wanted.length === 0) return []
  const see = [`${V2} "Enabling and Disabling"`, `${V2} "No Internal Process Constraint"`]
  const plus = (names: readonly string[]): string => names.map((name) => `+${name}`).join(' ')
  const reason = { why: `hand controllers on to the cgroups in ${path}`, see }
  const open = openFile({ at: AT_FDCWD, path }, SUBTREE_CONTROL, reason)
  const all = putValue(SUBTREE_CONTROL, plus(wanted), reason)
  const tolerate: Step['tolerate'] = ['EBUSY', 'EINVAL', 'ENOENT', 'EOPNOTSUPP']
  if (needed.length > 0) {
    const needing = { why: `hand ${needed.join(', ')} on to the cgroups in ${path}`, see }
    return [open, { ...all, tolerate, otherwise: [putValue(SUBTREE_CONTROL, plus(needed), needing)] }]
  }
  return [{ ...open, tolerate: ['EACCES', 'EPERM', 'EROFS'], then: [{ ...all, tolerate }] }]
}
