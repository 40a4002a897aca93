/**
 * A v1 hierarchy that the host has not mounted, reached by a mount that is attached nowhere and seen by nobody else. fsopen(2), cgroups(7)
 *
 * The hierarchy lives as long as it has a mount or a cgroup; while it does, its controllers are not in cgroup v2.
 */

import { type Slot, slot } from '../linux/call.ts'
import { waitMs } from '../linux/cgroup.ts'
import { close } from '../linux/files.ts'
import {
  fsconfigCreate,
  fsconfigFlag,
  fsmount,
  fsopen,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
} from '../linux/mount.ts'
import { V1 } from './cgroup-files.ts'
import type { Step } from './plan.ts'

/** The fs context goes at once: as long as it is open it keeps the hierarchy alive. */
export function mountHierarchy(controllers: readonly string[], mount: Slot): readonly Step[] {
  const context = slot('cgroup-mount-context')
  const reason = {
    why: `reach the ${controllers.join(',')} controller, which the host has not mounted`,
    see: [`${V1}/cgroups.rst`, 'fsopen(2)'],
  }
  return [
    { call: fsopen('cgroup'), ...reason, into: context },
    ...controllers.map((controller): Step => ({ call: fsconfigFlag(context, controller), ...reason })),
    { call: fsconfigCreate(context), ...reason },
    { call: fsmount(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), ...reason, into: mount },
    { call: close(context), ...reason },
  ]
}

/**
 * A hierarchy whose last mount goes while it still has cgroups lives on, and keeps its controllers from cgroup v2. One that was just removed
 * counts until RCU and a worker have freed it: 57 to 77 ms as measured. kernel/cgroup/cgroup.c, cgroup_kill_sb
 */
export const waitForRelease: Step = {
  call: waitMs(150),
  why: 'let the kernel free the cgroup, so that it gives the controller back',
  see: ['cgroups(7)'],
}
