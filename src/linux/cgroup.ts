/** The words of control groups: which hierarchies there are, and the names of controllers in cgroup v1 and v2. cgroups(7) */

import { packU64 } from './bytes.ts'
import type { Buffer, Call, Slot } from './call.ts'

/** A hierarchy of cgroups that is mounted. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** v1: what it controls, several if they are mounted together; one without a controller has a name, `name=systemd`. v2: empty. */
  readonly controllers: readonly string[]
  readonly mountPoint: string
  /** The reader's own cgroup as a path below the mount point, `/` for the one that is mounted; undefined if it is not in sight. */
  readonly own?: string | undefined
  /** Mounted read-only: nothing can be made or limited here. */
  readonly readonly: boolean
  /**
   * Whether a caller without privilege may make cgroups where those of its containers go by default: it owns its cgroup (v1), or the
   * parent of its cgroup (v2). True for privileged callers, who are not asked.
   */
  readonly isDelegated: boolean
}

export interface CgroupLayout {
  /** `v2`: no v1 hierarchy has a controller. `hybrid`: some have, and v2 is there as well. `none`: nothing is mounted. */
  readonly mode: 'v1' | 'hybrid' | 'v2' | 'none'
  readonly hierarchies: readonly Hierarchy[]
  /** Controllers that the kernel has for v1 and that no mount in sight shows; those of one group belong to one hierarchy. */
  readonly unmounted: readonly (readonly string[])[]
  /** v2, by their v2 names: what the mounted cgroup has, and what it hands on to cgroups in it. cgroup.controllers, cgroup.subtree_control */
  readonly available: readonly string[]
  readonly enabled: readonly string[]
  /** `2MB`, as in the names of hugetlb files; undefined if the reader was not told to look. */
  readonly hugepageSizes?: readonly string[] | undefined
}

/** What v2 calls a controller. */
export const nameInV2 = (controller: string): string => (controller === 'blkio' ? 'io' : controller)

/** The last part of the path of a cgroup file, `tasks` and `cgroup.procs` among them. kernel:admin-guide/cgroup-v1/cgroups.rst */
export const TASKS = 'tasks'
export const PROCS = 'cgroup.procs'
export const SUBTREE_CONTROL = 'cgroup.subtree_control'

/** Copies what a cgroup file says into another one, without a buffer in between; needs Linux 5.12 for such files. sendfile(2) */
export const copySetting = (from: Slot, to: Slot): Call => ({ name: 'sendfile', args: [to, from, 0, 4096] })

/** Reads from the start of a file whatever was read of it before: a cgroup file is made anew each time. pread(2) */
export const readAgain = (fd: Slot, into: Buffer): Call => ({ name: 'pread64', args: [fd, into, into.sizeBytes, 0] })

/** Waits for so many milliseconds, below a second. nanosleep(2) */
export const waitMs = (milliseconds: number): Call => ({
  name: 'nanosleep',
  args: [packU64([0, milliseconds * 1_000_000]), 0],
})

export const kill = (pid: number, signal: number): Call => ({ name: 'kill', args: [pid, signal] })
