/** What a plan needs to know about the machine: the argument that keeps planners pure. observe/host.ts reads it. */

import type { CgroupLayout } from '../linux/cgroup.ts'

export interface Host {
  readonly architecture: 'x86_64' | 'aarch64'
  /** From uname(2), for the rules of a seccomp profile that name a minimum; features are probed, never derived from it. */
  readonly kernel: { readonly major: number; readonly minor: number }
  /** Effective ids of the caller in its own user namespace. */
  readonly hostUid: number
  readonly hostGid: number
  /** True without CAP_SYS_ADMIN over the machine: a user namespace has to give it. */
  readonly isRootless: boolean
  /** CAP_SETUID and CAP_SETGID in the caller's own user namespace: it may map any ids that it has. */
  readonly canMapIds: boolean
  /** CAP_SYS_RESOURCE: it may raise limits, and set those of other users' processes. Roots of outer containers often have not. */
  readonly canRaiseLimits: boolean
  /** The highest capability the kernel knows, from /proc/sys/kernel/cap_last_cap. */
  readonly lastCapability: number
  readonly cgroup: CgroupLayout
  /** The active security modules, `apparmor` and `selinux` among them; undefined where nobody looked or could, and the kernel has to say. */
  readonly securityModules?: readonly string[] | undefined
  /** What is at a path of the host now; a bind mount needs a target of the same kind. */
  readonly kindOf: (path: string) => 'file' | 'directory' | 'absent'
}
