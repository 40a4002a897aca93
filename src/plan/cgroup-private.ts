/**
 * A v1 hierarchy that the host has not mounted, reached by a mount that is attached nowhere and seen by nobody else. fsopen(2), cgroups(7)
 *
 * The hierarchy lives as long as it has a mount or a cgroup; while it does, its controllers are not in cgroup v2.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { waitMs } from '../linux/cgroup.ts'
import { AT_FDCWD, close, dup3, O_CLOEXEC, O_PATH, openat } from '../linux/files.ts'
import {
  fsconfigCreate,
  fsconfigFlag,
  fsmount,
  fsopen,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  newMount,
  setPropagation,
} from '../linux/mount.ts'
import { CLONE_FILES, CLONE_NEWNS, clone3 } from '../linux/namespaces.ts'
import { P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import { V1 } from './cgroup-files.ts'
import type { Step } from './plan.ts'

const MFD_CLOEXEC = 1
/** Exists wherever coffer runs, and is a mount. */
const PLACE = '/proc'

/** The fs context goes at once: as long as it is open it keeps the hierarchy alive. */
export function mountHierarchy(controllers: readonly string[], mount: Slot): readonly Step[] {
  const context = slot('cgroup-mount-context')
  const reason = {
    why: `reach the ${controllers.join(',')} controller, which the host has not mounted`,
    see: [`${V1}/cgroups.rst`, 'fsopen(2)'],
  }
  const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
  return [
    { call: fsopen('cgroup'), ...reason, into: context },
    ...controllers.map((controller): Step => ({ call: fsconfigFlag(context, controller), ...reason })),
    {
      call: fsconfigCreate(context),
      ...reason,
      // A hierarchy of these controllers is about to go. The kernel makes the call again then, by restart_syscall, and finds the context used
      // up: cgroup1_get_tree in kernel/cgroup/cgroup-v1.c, vfs_cmd_create in fs/fsopen.c.
      tolerate: ['EBUSY'],
      then: [{ call: fsmount(context, attributes), ...reason, into: mount }],
      otherwise: awaitHierarchy(controllers.join(','), mount),
    },
    { call: close(context), ...reason },
  ]
}

/**
 * The same by mount(2), which waits: it has no context that a second call could find used up. What it attaches is attached in the namespace
 * of a process that ends at once; it shares its descriptors, and so leaves one.
 */
function awaitHierarchy(names: string, mount: Slot): readonly Step[] {
  const [pidfd, root] = [slot('cgroup-mount-pidfd'), slot('cgroup-mount-root')]
  const [pidfdBytes, exit] = [buffer('cgroup-mount-pidfd', 4), buffer('cgroup-mount-exit', SIGINFO_BYTES)]
  const reason = {
    why: `wait until the ${names} controller is given back, and reach it`,
    see: ['mount(2)', 'mount_namespaces(7)'],
  }
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
  const wait: Step = { call: waitid(P_PIDFD, pidfd, exit), ...reason }
  return [
    // A number for the descriptor. It is a file's, below which nothing can be made.
    { call: { name: 'memfd_create', args: ['cgroup-mount', MFD_CLOEXEC] }, ...reason, into: mount },
    {
      call: clone3({ flags: CLONE_NEWNS + CLONE_FILES, pidfd: pidfdBytes }),
      ...reason,
      keep: [{ slot: pidfd, in: pidfdBytes, offset: 0, sizeBytes: 4 }],
      child: [
        { call: setPropagation(PLACE, MS_PRIVATE), ...reason },
        { call: newMount({ type: 'cgroup', source: 'cgroup', target: PLACE, flags, data: names }), ...reason },
        { call: openat(AT_FDCWD, PLACE, O_PATH), ...reason, into: root },
        { call: dup3(root, mount, O_CLOEXEC), ...reason },
        { call: close(root), ...reason },
      ],
      undo: [{ ...wait, tolerate: ['ECHILD'] }],
    },
    // The number of a signal is not 0 either.
    { ...wait, check: { in: exit, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECANCELED' } },
    { call: close(pidfd), ...reason },
  ]
}

/**
 * A hierarchy whose last mount goes while it still has cgroups lives on, and keeps its controllers from cgroup v2. One that was just removed
 * counts until RCU and a worker have freed it: 57 to 77 ms as measured. So does one whose last process nobody has reaped yet, and where that
 * is up to others, the hierarchy goes when it is mounted the next time. kernel/cgroup/cgroup.c, cgroup_kill_sb
 */
export const waitForRelease: Step = {
  call: waitMs(150),
  why: 'let the kernel free the cgroup, so that it gives the controller back',
  see: ['cgroups(7)'],
}
