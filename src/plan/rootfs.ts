/**
 * The root of the container: a mount of its own that all paths of the container are resolved in, and at the end the only one it sees.
 *
 *     planRootfs    host's tree at /, the container's root on top of it, open as ROOT
 *     …             everything of the container is made through ROOT, everything of the host is found by its path
 *     planPivot     the container's root at /, the host's tree gone
 *
 * The root is attached on top of `/`, not on its own path: looking up a path never goes through what is mounted over the root directory, so
 * the host's tree stays usable, no path has to be looked up by a process that may not be allowed to, and `--no-pivot` has nothing to move.
 *
 * Source: pivot_root(2), mount_namespaces(7), oci:runtime-spec/config-linux.md#rootfs-mount-propagation
 */

import { slot } from '../linux/call.ts'
import { AT_FDCWD, chdir, chroot, fchdir, O_PATH, openat } from '../linux/files.ts'
import {
  attachAt,
  cloneTree,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  mountSetattr,
  newMount,
  pivotRoot,
  setPropagation,
  umount2,
} from '../linux/mount.ts'
import { umask } from '../linux/process.ts'
import type { RootfsPropagation } from '../oci/linux.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC, ROOT } from './slots.ts'

/**
 * What the host's mounts are for the container while it is made, and bind mounts of them for good.
 *
 * | word      | mounts on the host appear in the container | and the other way round                       |
 * |-----------|--------------------------------------------|-----------------------------------------------|
 * | `slave`   | yes                                        | no                                            |
 * | `private` | no                                         | no                                            |
 * | `shared`  | yes                                        | in bind mounts, unless their options say else |
 */
export type HostMounts = 'slave' | 'private' | 'shared'

export function hostMountsOf(propagation: RootfsPropagation | undefined): HostMounts {
  if (propagation === 'shared' || propagation === 'rshared') return 'shared'
  return propagation === 'private' || propagation === 'rprivate' ? 'private' : 'slave'
}

export interface RootfsRequest {
  /** Of the host, absolute. */
  readonly path: string
  readonly hostMounts: HostMounts
  readonly sourcesOpenedBy: 'executor' | 'init'
}

export interface RootfsPlan {
  /** For the executor, before it makes init. */
  readonly before: readonly Step[]
  /** For init. Leaves the umask at 0 and the current directory in the host's procfs, as targets.ts needs it. */
  readonly steps: readonly Step[]
}

export function planRootfs({ path, hostMounts, sourcesOpenedBy }: RootfsRequest): RootfsPlan {
  const propagation = hostMounts === 'private' ? MS_PRIVATE : MS_SLAVE
  const clone: Step = {
    call: cloneTree(AT_FDCWD, path, { recursive: true }),
    why: `take ${path} as the root of the container (root.path)`,
    see: ['open_tree(2)', 'oci:runtime-spec/config.md#root'],
    into: ROOT,
  }
  const byExecutor = sourcesOpenedBy === 'executor'
  const separate: Step = {
    // Taken in the host's namespace, it is a peer of the host's mount until now (SECURITY-CHECKS S29).
    call: mountSetattr(ROOT, { set: 0, propagation, recursive: true }),
    why: 'keep what is mounted in the container from the host',
    see: SEE_PROPAGATION,
  }
  return {
    before: byExecutor ? [clone, separate] : [],
    steps: [
      { call: umask(0), why: 'make files with just the modes that are given', see: ['umask(2)'] },
      {
        call: fchdir(HOST_PROC),
        why: 'have a procfs at hand in which self/fd/N is what descriptor N is open on',
        see: ['proc(5)'],
      },
      {
        // First of all mounts: whatever is mounted from here on stays in this namespace. Always recursive, and never shared, whatever is
        // asked for in the end: pivot_root(2) refuses a shared parent, and the host's tree is unmounted as a whole.
        call: setPropagation('/', propagation | MS_REC),
        why: 'keep mounts and unmounts of the container from the host',
        see: SEE_PROPAGATION,
      },
      ...(byExecutor ? [] : [clone]),
      {
        call: attachAt(ROOT, AT_FDCWD, '/'),
        why: 'put the root of the container on top of the root of the host',
        see: ['move_mount(2)'],
      },
    ],
  }
}

const SEE_PROPAGATION: readonly Ref[] = [
  'mount_namespaces(7)',
  'oci:runtime-spec/config-linux.md#rootfs-mount-propagation',
]

export interface PivotRequest {
  readonly readonly: boolean
  /** Only change the root directory of the process, for a root that pivot_root(2) cannot leave, as an initramfs. Weaker. */
  readonly noPivot: boolean
  readonly propagation?: RootfsPropagation | undefined
  /** How many mounts the configuration has put over the first root of the container. */
  readonly rootMounts: number
}

/** For init, when all that needs the host's tree is done. */
export function planPivot({ readonly, noPivot, propagation, rootMounts }: PivotRequest): readonly Step[] {
  return [
    ...(readonly ? [makeReadonly] : []),
    ...(noPivot ? hideHost : []),
    ...(noPivot ? [] : [openOldRoot]),
    { call: fchdir(ROOT), why: 'be in the root of the container', see: ['pivot_root(2)'] },
    ...(noPivot ? [changeRoot] : pivot(rootMounts)),
    { call: chdir('/'), why: 'begin at the root of the container', see: ['chdir(2)'] },
    ...finalPropagation(propagation),
  ]
}

const makeReadonly: Step = {
  call: mountSetattr(ROOT, { set: MOUNT_ATTR_RDONLY }),
  why: 'make the root of the container read-only (root.readonly)',
  see: ['mount_setattr(2)', 'oci:runtime-spec/config.md#root'],
}

const OLD_ROOT = slot('old-root')

const openOldRoot: Step = {
  call: openat(AT_FDCWD, '/', O_PATH),
  why: 'find the tree of the host again when it is the root no longer',
  see: ['pivot_root(2)'],
  into: OLD_ROOT,
}

/**
 * The old root ends up on top of the new one, and on it whatever was between the two; all of that is taken off: pivot_root(2),
 * "pivot_root(".", ".")".
 *
 * umount(2) takes what is topmost. So it is called for each, and seen to find nothing more: what is left would be where `/..` leads to, not
 * only for who escapes from a chroot (SECURITY-CHECKS S30). In a directory that is not mounted any more it answers EINVAL.
 */
const pivot = (rootMounts: number): readonly Step[] => [
  {
    call: pivotRoot('.', '.'),
    why: 'make the root of the container the root of all its processes',
    see: ['pivot_root(2)'],
  },
  { call: fchdir(OLD_ROOT), why: 'be in the tree of the host', see: ['pivot_root(2)'] },
  ...Array.from({ length: rootMounts }, () =>
    takeOff('take off what lies between the root of the host and that of the container'),
  ),
  takeOff('take the tree of the host away'),
  {
    ...takeOff('be sure that nothing of the host is left'),
    check: { result: NO_RESULT, errno: 'EBUSY' },
    tolerate: ['EINVAL'],
  },
]

/** umount(2) answers 0. */
const NO_RESULT = 1

const takeOff = (why: string): Step => ({ call: umount2('.', MNT_DETACH), why, see: ['umount(2)'] })

const changeRoot: Step = {
  call: chroot('.'),
  why: 'make the root of the container the root of its first process (--no-pivot)',
  see: ['chroot(2)'],
}

/**
 * Without pivot_root the host's tree stays in the mount namespace, below. A procfs or sysfs of the host that is in sight entitles the
 * container to mount one without masks: fs/namespace.c, mount_too_revealing.
 */
const hideHost: readonly Step[] = ['/proc', '/sys'].map((path) => ({
  call: umount2(path, MNT_DETACH),
  why: `take ${path} of the host away`,
  see: ['umount(2)'],
  // EINVAL: nothing is mounted there, or in a user namespace it may not be taken off.
  tolerate: ['EINVAL', 'EPERM'],
  otherwise: [
    {
      call: newMount({ type: 'tmpfs', source: 'tmpfs', target: path, flags: 0, data: '' }),
      why: `cover ${path} of the host`,
      see: ['tmpfs(5)'],
    },
  ],
}))

/** What the whole asks for beyond what it is already, the root being slave or private. */
function finalPropagation(propagation: RootfsPropagation | undefined): readonly Step[] {
  const flags = propagation === undefined ? 0 : FINAL[propagation]
  if (flags === 0) return []
  return [
    {
      // Only now: before, it would have been a change of the host's mounts, or in the way of pivot_root(2).
      call: setPropagation('/', flags),
      why: `make the root of the container ${propagation} (linux.rootfsPropagation)`,
      see: SEE_PROPAGATION,
    },
  ]
}

const FINAL: Readonly<Record<RootfsPropagation, number>> = {
  private: 0,
  rprivate: 0,
  slave: 0,
  rslave: 0,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
}
