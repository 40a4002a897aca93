/**
 * The form of hints: which call, which errno, about what, under which facts → what to do.
 *
 * Of the rules in a list the first that fits is taken, so the special ones stand before the general.
 */

import type { Call } from '../linux/call.ts'
import type { Ref } from './plan.ts'

/** What is known of the machine and of the container. An absent fact is unknown, and rules that need it give no hint. */
export interface HintFacts {
  /** The tool whose plan it is, `unshare`; absent where it is that of a container. */
  readonly tool?: string | undefined
  /** Without CAP_SYS_ADMIN over the machine. */
  readonly isRootless: boolean
  /** CAP_SETUID and CAP_SETGID in the user namespace of coffer. */
  readonly canMapIds?: boolean | undefined
  /** Whether the container is in a user namespace, new or joined. */
  readonly usesUserNamespace?: boolean | undefined
  /** kernel.apparmor_restrict_unprivileged_userns is 1. */
  readonly isRestrictedByApparmor?: boolean | undefined
  /** kernel.unprivileged_userns_clone, a sysctl that Debian and Arch add to the kernel, is not 0. */
  readonly allowsUserNamespaces?: boolean | undefined
  /** user.max_user_namespaces. */
  readonly maxUserNamespaces?: number | undefined
  /** The settings max_…_namespaces below /proc/sys/user that are 0. */
  readonly zeroLimits?: readonly string[] | undefined
  /** Of coffer itself. */
  readonly hasNoNewPrivileges?: boolean | undefined
  /** /proc/self/setgroups says so. */
  readonly deniesSetgroups?: boolean | undefined
  /** Whether /etc/subuid and /etc/subgid give the user ids. */
  readonly hasSubuidRange?: boolean | undefined
  readonly hasSubgidRange?: boolean | undefined
  /** The type of the file system that the upperdir of an overlay is on, as in /proc/self/mountinfo. */
  readonly overlayUpperType?: string | undefined
  /** The type of the file system at /; `rootfs` in an initramfs. */
  readonly rootType?: string | undefined
  /** pivot-root: what NEW is now: the root, a mount point, or a directory of another mount. */
  readonly newRoot?: 'root' | 'mount' | 'directory' | undefined
  /** pivot-root: a mount point that would have to be private, and is shared. */
  readonly sharedMount?: string | undefined
  /** The program is in the image, but the interpreter or loader that it names is not. */
  readonly missingInterpreter?: string | undefined
}

export interface Rule {
  /** Names of calls; `*` is any. */
  readonly calls: string
  readonly errnos: string
  /** Is looked for in the text of the call, the path and the reason of the step. */
  readonly about?: RegExp
  readonly when?: (facts: HintFacts) => boolean
  readonly hint: string | ((facts: HintFacts, call: Call) => string)
  readonly see: readonly Ref[]
}

export const isInUserNamespace = ({ isRootless, usesUserNamespace }: HintFacts): boolean =>
  usesUserNamespace === true || isRootless
