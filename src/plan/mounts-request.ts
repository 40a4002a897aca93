/** What is known when the mounts of a container are planned, about all of them and about each one. */

import type { Slot } from '../linux/call.ts'
import type { MountOptions } from '../oci/mount-options.ts'
import type { Mount } from '../oci/mounts.ts'
import type { BindContext } from './bind.ts'
import type { CgroupDirectories } from './cgroup-place.ts'
import type { Host } from './host.ts'
import type { IdMaps } from './idmap.ts'
import type { TreeEntry } from './mounts-copy-up.ts'
import type { NamespacePlan } from './namespaces.ts'
import type { HostPart } from './overlay-parts.ts'
import type { Step } from './plan.ts'
import type { HostMounts } from './rootfs.ts'
import type { Place, Places } from './targets.ts'

export interface MountsRequest {
  readonly mounts: readonly Mount[]
  /** Absolute; where relative sources begin. */
  readonly bundle: string
  readonly namespaces: Pick<NamespacePlan, 'isNew' | 'isJoined'>
  readonly hostMounts: HostMounts
  readonly sourcesOpenedBy: 'executor' | 'init'
  /** Of the container's user namespace, if it is new. */
  readonly idMaps: IdMaps
  /** The user namespace that the container joins, if it does; open in the executor. */
  readonly userNamespace?: Slot | undefined
  readonly cgroup: CgroupDirectories
  /** linux.mountLabel: an SELinux context for new file systems. */
  readonly label?: string | undefined
  /** Paths of the container that planMasks will cover: the file systems that they are in stay open. */
  readonly pathsToCover: readonly string[]
  /** The path of the container's root: an overlay of the root on itself names it. */
  readonly rootfs?: string | undefined
  /** What the root of the host is made of, for a view of it in a user namespace. */
  readonly hostParts: () => readonly HostPart[]
  /** What the image has below a directory, for `tmpcopyup`; undefined if that is no directory. */
  readonly listTree: (path: string) => readonly TreeEntry[] | undefined
  /** What a clean path of the image leads to if its last part is a link, else that path. */
  readonly behindLinks: (path: string) => string
}

/** One mount, with what is known about it. */
export interface PlannedMount {
  readonly index: number
  readonly mount: Mount
  readonly options: MountOptions
  /** Clean. */
  readonly destination: string
  /** A later step needs the root of it. */
  readonly staysOpen: boolean
}

export interface MountsContext extends BindContext {
  readonly request: MountsRequest
  readonly host: Host
  readonly places: Places
}

/** Whether they are made in another user namespace than that of the machine: one of the container, or that of coffer itself. */
export const isInUserNamespace = ({ request: { namespaces }, host }: MountsContext): boolean =>
  namespaces.isNew('user') || namespaces.isJoined('user') || host.isRootless

/** What planning one mount adds to the whole. */
export interface MountPlan {
  readonly before?: readonly Step[]
  readonly foreign?: readonly Step[]
  readonly steps: readonly Step[]
  readonly finish?: readonly Step[]
  /** Undefined if nothing was mounted that was not there before. */
  readonly place?: Place | undefined
  /** How many mounts lie over one another there; 1 if not given. */
  readonly mountCount?: number | undefined
}
