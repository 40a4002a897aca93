/** Changes to what is mounted in the container already: the option `remount`, and mounts that only have propagation. */

import { slot } from '../linux/call.ts'
import { mountSetattr, remount } from '../linux/mount.ts'
import { attributeChanges, dataOf, mergeChanges, newMountFlags, propagationChanges } from './mounts-flags.ts'
import type { MountPlan, MountsContext, PlannedMount } from './mounts-request.ts'
import type { Step } from './plan.ts'
import { openExisting, pathTo } from './targets.ts'

const MOUNTED = slot('mounted')

/**
 * With `bind`, and without a type, only the mount is changed; a `remount` with a type changes the file system as well, and takes all flags
 * that it shall have, as mount(2) does.
 */
export function planChange(
  { index, mount, options, destination }: PlannedMount,
  { request }: MountsContext,
): MountPlan {
  const why = `change what is mounted at ${destination} (mounts[${index}].options)`
  const open = openExisting(destination, why, MOUNTED)
  if (!options.remount || options.bind !== undefined || mount.type === undefined) {
    const changes = mergeChanges([...attributeChanges(options), ...propagationChanges(options)])
    return {
      steps: [
        open,
        ...changes.map((one): Step => ({ call: mountSetattr(MOUNTED, one), why, see: ['mount_setattr(2)'] })),
      ],
    }
  }
  const call = remount({
    type: mount.type,
    source: mount.source ?? mount.type,
    target: pathTo({ dir: MOUNTED, path: '' }),
    flags: newMountFlags(options),
    data: dataOf(options.data, mount.type, request.label),
  })
  return { steps: [open, { call, why, see: ['mount(2)'] }] }
}
