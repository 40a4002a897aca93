/** `update`: new limits for a container that runs. Source: oci:runtime-spec/config-linux.md#control-groups */

import type { CgroupLayout } from '../linux/cgroup.ts'
import { O_RDONLY, openat } from '../linux/files.ts'
import type { Resources } from '../oci/resources.ts'
import { planLimits } from './cgroup.ts'
import { refuseLimit } from './cgroup-files.ts'
import { completed, requestsOf, wish } from './cgroup-limits.ts'
import { type CgroupDirectories, type Place, placesAt } from './cgroup-place.ts'
import { mountHierarchy } from './cgroup-private.ts'
import { CGROUP } from './cgroup-v2.ts'
import type { Step } from './plan.ts'

export interface CgroupUpdate {
  readonly cgroup: CgroupDirectories
  /** What changes; all else stays. Device rules, if there are any, replace those before. */
  readonly resources: Resources
  /** What holds now. */
  readonly current?: Resources | undefined
  readonly layout: CgroupLayout
  readonly isRootless: boolean
  /** memory.current of v2, for `memory.checkBeforeUpdate`; v1 refuses a limit below what is in use by itself. */
  readonly usedBytes?: number | undefined
}

/** Throws `invalid` for limits that exclude each other, `unsupported` for one that its cgroups do not have. */
export function planCgroupUpdate(update: CgroupUpdate): readonly Step[] {
  const { cgroup, current, layout, isRootless } = update
  const resources = completed(update.resources, current)
  checkUse(update)
  const places = placesAt(cgroup)
  const limits = planLimits({ resources, requests: requestsOf(resources), places, layout, isRootless, inUse: true })
  return [...places.flatMap((place) => reach(place, limits)), ...limits]
}

/** What the limits need opened or mounted first. */
function reach({ version, controllers, at, path, mount }: Place, limits: readonly Step[]): readonly Step[] {
  if (mount !== undefined) {
    return limits.some(({ call }) => call.args[0] === mount) ? mountHierarchy(controllers, mount) : []
  }
  if (version === 1 || !limits.some(({ call }) => call.name === 'bpf')) return []
  return [
    { call: openat(at, path, O_RDONLY), why: 'name its cgroup by a descriptor', see: ['cgroups(7)'], into: CGROUP },
  ]
}

/** v2 would kill to get below a new limit. */
function checkUse({ resources, usedBytes }: CgroupUpdate): void {
  const { memory } = resources
  if (memory?.checkBeforeUpdate !== true || usedBytes === undefined) return
  for (const field of ['limit', 'swap'] as const) {
    const value = wish(memory[field])
    if (value !== undefined && value > 0 && value <= usedBytes) {
      refuseLimit('invalid', `memory.${field}`, `${value} bytes are not more than the ${usedBytes} in use`)
    }
  }
}
