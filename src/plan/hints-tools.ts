/** Hints for the tools, in the words of their flags: hints.ts. They stand before those of containers, which name fields of config.json. */

import type { HintFacts, Rule } from './hints-rule.ts'
import type { Ref } from './plan.ts'

const isTool =
  (name: RegExp, also: (facts: HintFacts) => boolean = () => true): ((facts: HintFacts) => boolean) =>
  (facts) =>
    facts.tool !== undefined && name.test(facts.tool) && also(facts)

const PIVOT: readonly Ref[] = ['pivot_root(2)']

export const pivotRules = (): readonly Rule[] => [
  {
    calls: 'pivot_root',
    errnos: 'EBUSY',
    when: isTool(/^pivot-root$/, ({ newRoot }) => newRoot === 'root'),
    hint: 'NEW is the present root, and the new root has to be another mount',
    see: PIVOT,
  },
  {
    calls: 'pivot_root',
    errnos: 'EBUSY EINVAL',
    when: isTool(/^pivot-root$/, ({ newRoot }) => newRoot === 'directory'),
    hint: 'NEW has to be a mount point of its own: add --bind, or mount --bind NEW NEW',
    see: PIVOT,
  },
  {
    calls: 'pivot_root',
    errnos: 'EINVAL',
    when: isTool(/^pivot-root$/, ({ sharedMount }) => sharedMount !== undefined),
    hint: ({ sharedMount = '' }) =>
      `the mount ${sharedMount} is shared, so its peers would have to change their root as well; make mounts private: mount --make-rprivate /`,
    see: [...PIVOT, 'mount_namespaces(7) "SHARED SUBTREES"'],
  },
  {
    calls: 'pivot_root',
    errnos: 'EINVAL',
    when: isTool(/^pivot-root$/, ({ rootType }) => rootType === 'rootfs'),
    hint: 'the present root is an initramfs, which nothing is mounted below; move the new root over it: switch_root(8)',
    see: PIVOT,
  },
  {
    calls: 'pivot_root',
    errnos: 'ENOENT ENOTDIR',
    when: isTool(/^pivot-root$/),
    hint: 'PUT_OLD has to be a directory in NEW: make it, or add --mkdir',
    see: PIVOT,
  },
  {
    calls: 'pivot_root mount unshare',
    errnos: 'EPERM',
    when: isTool(/^pivot-root$/),
    hint: 'it needs CAP_SYS_ADMIN over the mount namespace: run as root, or in coffer unshare --map-root-user --mount',
    see: [...PIVOT, 'mount_namespaces(7)'],
  },
]

export const enterRules = (): readonly Rule[] => [
  {
    calls: 'setns',
    errnos: 'EINVAL',
    about: /CLONE_NEWUSER/,
    when: isTool(/^nsenter$/),
    hint: 'nobody can enter the user namespace that they are in already; leave --user out, or take --all, which does',
    see: ['setns(2)'],
  },
  {
    calls: 'setns',
    errnos: 'EINVAL',
    when: isTool(/^(nsenter|netns .*)$/),
    hint: 'the file is no namespace of that kind; coffer lsns lists those that there are',
    see: ['setns(2)', 'namespaces(7)'],
  },
  {
    calls: 'setns',
    errnos: 'EPERM',
    when: isTool(/^nsenter$/, ({ isRootless }) => isRootless),
    hint: 'entering needs privilege in the user namespace that owns it: enter that one, too (--user), or run as root',
    see: ['setns(2)', 'user_namespaces(7)'],
  },
  {
    calls: 'setns mount',
    errnos: 'EPERM',
    when: isTool(/^netns exec$/, ({ isRootless }) => isRootless),
    hint: 'a network of this machine can be entered only with privilege over it: run as root; who made it in a user namespace enters that first: coffer nsenter --user',
    see: ['setns(2)', 'network_namespaces(7)'],
  },
  {
    calls: 'pidfd_open',
    errnos: 'ESRCH',
    when: isTool(/^nsenter$/),
    hint: 'no process has this pid here: ps -e; of a process in a pid namespace it is the one that the host sees',
    see: ['pid_namespaces(7)'],
  },
]

export const unshareRules = (): readonly Rule[] => [
  {
    calls: 'unshare clone3',
    errnos: 'EPERM',
    when: isTool(
      /^(unshare|netns .*)$/,
      ({ isRootless, usesUserNamespace }) => isRootless && usesUserNamespace === false,
    ),
    hint: 'without privilege, namespaces can be made only in a user namespace: coffer unshare --map-root-user, or run as root',
    see: ['namespaces(7)', 'user_namespaces(7)'],
  },
  {
    calls: 'mount',
    errnos: 'EPERM',
    about: /"proc"/,
    when: isTool(/^unshare$/),
    hint: 'a procfs can be mounted only by who owns the pid namespace that it shows: add --pid --fork',
    see: ['pid_namespaces(7)', 'user_namespaces(7)'],
  },
  {
    calls: 'mount',
    errnos: 'EINVAL',
    about: /ns\/mnt/,
    when: isTool(/^unshare$/),
    hint: 'a mount namespace can be kept only on a private mount: mount --bind DIR DIR; mount --make-private DIR',
    see: ['mount_namespaces(7)', 'unshare(1)'],
  },
  {
    calls: 'write',
    errnos: 'ERANGE',
    about: /timens_offsets/,
    when: isTool(/^unshare$/),
    hint: 'a clock can be set neither below 0 nor beyond 146 years: --boottime and --monotonic are added to what the host has',
    see: ['time_namespaces(7)'],
  },
  {
    calls: 'write',
    errnos: 'EPERM',
    about: /[ug]id_map/,
    when: isTool(/^unshare$/),
    hint: 'outside may stand only ids that the caller has itself: cat /proc/self/uid_map /proc/self/gid_map',
    see: ['user_namespaces(7)'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /[ug]id_map/,
    when: isTool(/^unshare$/),
    hint: 'the ranges of --map-users and of --map-groups must not overlap, inside or outside',
    see: ['user_namespaces(7)'],
  },
  {
    calls: 'waitid',
    errnos: 'EPERM',
    about: /new[ug]idmap/,
    when: isTool(/^unshare$/, ({ hasNoNewPrivileges }) => hasNoNewPrivileges !== true),
    hint: 'the ranges of --map-users and --map-groups may only name ids that /etc/subuid and /etc/subgid give to this user, and its own',
    see: ['newuidmap(1)', 'subuid(5)', 'subgid(5)'],
  },
  {
    calls: 'setresuid setresgid',
    errnos: 'EINVAL',
    when: isTool(/^(unshare|nsenter|chroot)$/),
    hint: 'the user namespace has no such id; map it: --map-users, --map-groups',
    see: ['user_namespaces(7)'],
  },
  {
    calls: 'setgroups setresgid setresuid',
    errnos: 'EPERM',
    when: isTool(/^(unshare|nsenter|chroot)$/),
    hint: 'changing users and groups needs CAP_SETUID and CAP_SETGID, and a user namespace that does not deny setgroups(2): run as root, or map ranges (--map-auto)',
    see: ['user_namespaces(7)', 'credentials(7)'],
  },
  {
    calls: 'chroot',
    errnos: 'EPERM',
    when: isTool(/^(unshare|nsenter|chroot)$/),
    hint: 'it needs CAP_SYS_CHROOT: run as root, or in coffer unshare --map-root-user',
    see: ['chroot(2)'],
  },
]

export const cgroupToolRules = (): readonly Rule[] => [
  {
    calls: 'unlinkat',
    errnos: 'EBUSY',
    when: isTool(/^cgroup delete$/),
    hint: 'a cgroup can be removed only when no process and no cgroup is in it: coffer cgroup kill NAME, or delete --recursive',
    see: ['cgroups(7)'],
  },
  {
    calls: 'write',
    errnos: 'ESRCH',
    about: /cgroup\.procs|tasks/,
    when: isTool(/^cgroup /),
    hint: 'no process has this pid here: ps -e',
    see: ['cgroups(7)'],
  },
  {
    calls: 'openat',
    errnos: 'ENOENT',
    about: /"\/[^"]*\/[a-z_]+\.[^"/]*"/,
    when: isTool(/^cgroup set$/),
    hint: 'the cgroup has no such file: the name is wrong, or on v2 no cgroup above hands the controller on, which coffer cgroup create does',
    see: ['kernel:admin-guide/cgroup-v2.rst'],
  },
]
