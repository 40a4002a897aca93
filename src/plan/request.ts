/** What is asked for when a container is made: the configuration, and how the caller wants it made. */

import type { Config } from '../oci/config.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import type { CgroupPlan } from './cgroup.ts'
import type { DenialsRequest } from './denials.ts'
import type { EgressRequest } from './egress.ts'
import type { Watch } from './monitor.ts'
import type { MountsRequest } from './mounts.ts'
import type { MovedDevice } from './net-devices.ts'
import type { OwnProgram } from './own-program.ts'
import type { StatePlace } from './state.ts'
import type { Stdio } from './stdio.ts'
import type { Supervised } from './supervised.ts'

/**
 * | ending   | the plan ends                                                                  |
 * |----------|--------------------------------------------------------------------------------|
 * | `create` | with init waiting for `start`                                                  |
 * | `detach` | once the program runs                                                          |
 * | `wait`   | once the program has ended and all that was made is removed; INIT_EXIT is read |
 * | `watch`  | never: once the program runs, the executor becomes its monitor                 |
 */
export type Ending = 'create' | 'detach' | 'wait' | 'watch'

export interface ContainerRequest {
  readonly config: Config
  readonly place: StatePlace
  /** Absolute. */
  readonly bundle: string
  /** Absolute. */
  readonly rootfs: string
  /** The text of `state.json`, or the executor's descriptor of it; undefined for a container that no other program shall find. */
  readonly stateSource: string | number | undefined
  readonly cgroup: CgroupPlan
  readonly ending: Ending
  /** With the ending `watch`. */
  readonly watch?: Watch | undefined
  readonly pidFile?: string | undefined
  readonly pidfdSocket?: string | undefined
  /** Where the process reads and writes; where the executor does, if undefined. */
  readonly stdio?: Stdio | undefined
  /** Only with `wait`: who else may end the container, and what its caller wants to know then. */
  readonly supervised?: Supervised | undefined
  /** A program of coffer that becomes the first process, in place of one of the container. */
  readonly ownProgram?: OwnProgram | undefined
  /** Who hears what the filter of system calls denies the program. */
  readonly denials?: DenialsRequest | undefined
  /** What of the network it may reach, where its network namespace is a new one with nothing but lo. */
  readonly egress?: EgressRequest | undefined
  readonly noPivot: boolean
  readonly noNewKeyring: boolean
  /** The path of a unix socket, or the descriptor that the executor was given. */
  readonly consoleSocket?: string | number | undefined
  readonly listenFds: number
  readonly preserveFds: number
  /** The home directory of the process user in the container's own passwd file. */
  readonly home?: string | undefined
  /** Whether a namespace that the container joins is that of the host, whose settings are not the container's to change. */
  readonly isHosts: (type: NamespaceType) => boolean
  /** linux.netDevices, and what they have to get back. */
  readonly netDevices: readonly MovedDevice[]
  /** What the root of the host is made of, for a view of it. */
  readonly hostParts: MountsRequest['hostParts']
  /** What the image has below a directory, for `tmpcopyup`. */
  readonly listTree: MountsRequest['listTree']
  readonly behindLinks: MountsRequest['behindLinks']
  /** Keep the container's record after `wait`: run --keep. */
  readonly keep: boolean
}
