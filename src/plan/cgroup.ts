/**
 * The control groups of a container: made and limited before its first process exists, joined by that process before anything else, and
 * removed behind its last one.
 *
 * | hierarchy | how init gets in                                                                                              |
 * |-----------|---------------------------------------------------------------------------------------------------------------|
 * | v1        | init writes `0` to `tasks`, opened before clone3. A pid written to `cgroup.procs` by another process takes a  |
 * |           | lock of all processes of the machine: 5 to 17 ms, against 10 µs. kernel/cgroup/cgroup.c, cgroup_procs_write_start |
 * | v2        | clone3 makes it there: CLONE_INTO_CGROUP, clone(2)                                                            |
 *
 * As runc does, a container joins every v1 hierarchy that is mounted, limited or not, so that `update`, statistics and tools of the host find
 * it. Each costs about 75 µs (mkdir 30, open 11, join 8, rmdir 25), of which a container without any of them would be that much faster.
 */

import { type CgroupLayout, nameInV2 } from '../linux/cgroup.ts'
import type { Resources } from '../oci/resources.ts'
import { devicePolicy } from './cgroup-devices.ts'
import { refuseLimit } from './cgroup-files.ts'
import { type CgroupJoin, joinPlaces } from './cgroup-join.ts'
import { killCgroup } from './cgroup-kill.ts'
import { type Limits, type Request, requestsOf } from './cgroup-limits.ts'
import { makePlaces } from './cgroup-make.ts'
import { type CgroupWay, parentsOf, removeParents } from './cgroup-parents.ts'
import {
  type CgroupAddress,
  type CgroupDirectories,
  directoriesOf,
  handedOn,
  type Place,
  placeFor,
  placesOf,
  unmountedPlace,
} from './cgroup-place.ts'
import { removePlaces } from './cgroup-remove.ts'
import { controllerOf, planUnified } from './cgroup-unified.ts'
import { limitsOfV1 } from './cgroup-v1.ts'
import { limitsOfV2 } from './cgroup-v2.ts'
import type { Step } from './plan.ts'

export interface CgroupWish extends CgroupAddress {
  readonly resources?: Resources | undefined
  readonly way: CgroupWay
}

export interface CgroupPlan extends CgroupDirectories, CgroupJoin {
  /** Outside: makes the cgroups, sets their limits, opens that of v2; each undone if the start fails. */
  readonly create: readonly Step[]
  /** Behind the end of init: ends what it left running, which takes a v2 hierarchy. Not needed where init was the first of a pid namespace. */
  readonly kill: readonly Step[]
  /** Behind the last process of the container. */
  readonly remove: readonly Step[]
}

/**
 * Throws `unsupported` for a limit that this machine cannot give, naming field and controller. A caller without privilege gets no cgroup if it
 * asks for no limit and may make none.
 */
export function planCgroup(wish: CgroupWish): CgroupPlan {
  const { resources = NOTHING, layout, isRootless } = wish
  const requests = requestsOf(resources)
  const mounted = placesOf(wish)
  const places = [...mounted, ...privatePlaces(requests, mounted, wish)]
  const limits = planLimits({ resources, requests, places, layout, isRootless, inUse: false })
  const needed = neededOfV2(resources, requests, places, layout)
  const v2 = places.find(({ version }) => version === 2)
  const { way } = wish
  const parents = parentsOf(places, way)
  return {
    ...directoriesOf(places),
    ...(parents.length === 0 ? {} : { parents }),
    create: [...makePlaces(places, { layout, needed, cpu: resources.cpu, way }), ...limits],
    ...joinPlaces(places),
    kill: v2 === undefined ? [] : killCgroup(v2.path),
    remove: [...removePlaces(places), ...removeParents(way.root, parents)],
  }
}

const NOTHING: Resources = { devices: [], hugepageLimits: [], rdma: [], unified: [] }

export interface LimitsWish {
  readonly resources: Resources
  readonly requests: readonly Request[]
  readonly places: readonly Place[]
  readonly layout: CgroupLayout
  readonly isRootless: boolean
  /** The cgroup has processes in it, and a device policy. */
  readonly inUse: boolean
}

export function planLimits(wish: LimitsWish): readonly Step[] {
  const { resources, requests, places, layout, isRootless } = wish
  checkHugepages(resources, layout)
  const steps = requests.flatMap(({ controller, field, plan }) => {
    const place = placeFor(controller, places, layout) ?? refuseController(controller, field, wish)
    return plan(limitsOf(place), place)
  })
  // A user namespace makes no device node and opens none of another's, so there is nothing to restrict, and no right to.
  const devices = isRootless ? [] : planDevices(wish)
  return [...steps, ...devices, ...planUnified(resources.unified, places, layout)]
}

/** The one place that tells cgroup v1 from v2. */
const limitsOf = ({ version }: Place): Limits => (version === 1 ? limitsOfV1 : limitsOfV2)

/** The hierarchies that only a mount of the plan's own reaches, for the limits that need them. */
function privatePlaces(requests: readonly Request[], mounted: readonly Place[], wish: CgroupWish): readonly Place[] {
  const { layout, isRootless } = wish
  // Mounting a v1 hierarchy takes CAP_SYS_ADMIN over the machine: kernel/cgroup/cgroup-v1.c, cgroup1_get_tree.
  if (isRootless) return []
  const missing = requests
    .map(({ controller }) => controller)
    .filter((name) => placeFor(name, mounted, layout) === undefined)
  if (!canRestrictDevices(mounted)) missing.push('devices')
  const groups = layout.unmounted.filter((group) => group.some((controller) => missing.includes(controller)))
  return groups.map((group) => unmountedPlace(group, wish))
}

const canRestrictDevices = (places: readonly Place[]): boolean =>
  places.some(({ version, controllers }) => version === 2 || controllers.includes('devices'))

/** v1 where it is there: a v2 program costs 110 µs to load, where twelve lines of v1 take 50. */
function planDevices(wish: LimitsWish): readonly Step[] {
  const { resources, places, inUse } = wish
  if (inUse && resources.devices.length === 0) return []
  const place =
    places.find(({ controllers }) => controllers.includes('devices')) ??
    places.find(({ version }) => version === 2) ??
    refuseController('devices', 'devices', wish)
  return limitsOf(place).devices(devicePolicy(resources.devices), place, inUse)
}

/** What v2 has to hand on for the limits, by v2 names. */
function neededOfV2(
  { unified }: Resources,
  requests: readonly Request[],
  places: readonly Place[],
  layout: CgroupLayout,
): readonly string[] {
  const names = [
    ...requests
      .filter(({ controller }) => placeFor(controller, places, layout)?.version === 2)
      .map(({ controller }) => nameInV2(controller)),
    ...unified.map(({ file }) => controllerOf(file)),
  ]
  return handedOn(layout).filter((name) => names.includes(name))
}

function checkHugepages({ hugepageLimits }: Resources, { hugepageSizes }: CgroupLayout): void {
  if (hugepageSizes === undefined) return
  for (const { pageSize } of hugepageLimits) {
    if (hugepageSizes.includes(pageSize)) continue
    const reason = `this machine has no huge pages of ${pageSize}`
    const hint = hugepageSizes.length === 0 ? 'it has none at all' : `it has ${hugepageSizes.join(' and ')}`
    refuseLimit('unsupported', 'hugepageLimits', reason, hint)
  }
}

/** Says why there is no place for a limit, in the words of what the caller could change. */
function refuseController(controller: string, field: string, { layout, isRootless, inUse }: LimitsWish): never {
  if (inUse) refuseLimit('unsupported', field, `the container is in no cgroup of the ${controller} controller`)
  if (layout.mode === 'none') {
    refuseLimit('unsupported', field, 'no cgroup hierarchy is mounted', 'mount -t cgroup2 none /sys/fs/cgroup')
  }
  const hierarchy = layout.hierarchies.find(({ version, controllers }) =>
    version === 2 ? layout.mode === 'v2' : controllers.includes(controller),
  )
  if (hierarchy === undefined) refuseLimit('unsupported', field, `this kernel has no ${controller} controller`)
  if (hierarchy.readonly) {
    const hint = 'a container needs its cgroups writable to limit others in it'
    refuseLimit(
      'unsupported',
      field,
      `the ${controller} controller is mounted read-only at ${hierarchy.mountPoint}`,
      hint,
    )
  }
  if (isRootless && !hierarchy.isDelegated) {
    const hint = 'start coffer in a cgroup of its own: systemd-run --user --scope -p Delegate=yes coffer …'
    refuseLimit('unsupported', field, `the cgroup ${hierarchy.own ?? ''} is not this user's to divide`, hint)
  }
  refuseLimit(
    'unsupported',
    field,
    `the cgroup at ${hierarchy.mountPoint} has not been given the ${controller} controller`,
  )
}
