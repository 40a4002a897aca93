/** Settings of the kernel that keep a caller from making containers. */

import type { Files } from '../base/files.ts'

export interface Obstacle {
  /** What is missing for it. */
  readonly feature: 'namespaces' | 'seccomp'
  readonly reason: string
  /** An action. */
  readonly hint: string
}

/** A file, its value that is in the way, and what changes it; only in the way of callers without privilege. */
const OF_USERS = [
  ['/proc/sys/user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=15000'],
  ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
  [
    '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    '1',
    'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
  ],
] as const

/** A kernel without a setting does not restrict. */
export function readObstacles(files: Files, isRootless: boolean): readonly Obstacle[] {
  const value = (path: string): string | undefined => files.readText(path)?.trim()
  const ofUsers = isRootless ? OF_USERS.filter(([path, bad]) => value(path) === bad) : []
  return [
    ...(value('/proc/sys/kernel/seccomp/actions_avail') === undefined
      ? [{ feature: 'seccomp', reason: 'this kernel has no seccomp filters', hint: 'CONFIG_SECCOMP_FILTER=y' } as const]
      : []),
    ...ofUsers.map(
      ([path, bad, hint]): Obstacle => ({
        feature: 'namespaces',
        reason: `${path} is ${bad}: users may make no user namespace`,
        hint,
      }),
    ),
  ]
}
