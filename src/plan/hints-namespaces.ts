/** Hints for namespaces and id maps: hints.ts. */

import { isInUserNamespace, type Rule } from './hints-rule.ts'
import type { Ref } from './plan.ts'

const CLONES = 'clone clone3 unshare'
const USER: readonly Ref[] = ['user_namespaces(7)']

/** What a user namespace needs of the host, then of its maps. */
export const userNamespaceRules = (): readonly Rule[] => [
  {
    calls: CLONES,
    errnos: 'ENOSPC',
    about: /CLONE_NEWUSER/,
    when: ({ maxUserNamespaces }) => maxUserNamespaces === 0,
    hint: 'user namespaces are switched off on this host (user.max_user_namespaces = 0); switch them on: sysctl -w user.max_user_namespaces=15000',
    see: ['user_namespaces(7)', 'namespaces(7)'],
  },
  {
    calls: CLONES,
    errnos: 'EPERM',
    about: /CLONE_NEWUSER/,
    when: ({ isRootless, allowsUserNamespaces }) => isRootless && allowsUserNamespaces === false,
    hint: 'this host lets only root make user namespaces (kernel.unprivileged_userns_clone = 0); run as root, or let others: sysctl -w kernel.unprivileged_userns_clone=1',
    see: USER,
  },
  {
    calls: `${CLONES} setns mount open_tree move_mount mount_setattr pivot_root umount2 sethostname setdomainname write`,
    errnos: 'EPERM EACCES',
    about: /CLONE_NEW|mount|open_tree|pivot_root|sethostname|setdomainname|[ug]id_map/,
    when: ({ isRootless, isRestrictedByApparmor }) => isRootless && isRestrictedByApparmor === true,
    hint: 'AppArmor on this host takes capabilities from unprivileged user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1); run as root, or let others: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    see: USER,
  },
  {
    calls: 'write',
    errnos: 'EPERM',
    about: /[ug]id_map/,
    when: ({ canMapIds }) => canMapIds === true,
    hint: 'coffer is in a user namespace itself, and hostID counts in that one; use only ids that it has: cat /proc/self/uid_map /proc/self/gid_map',
    see: USER,
  },
  {
    calls: 'write waitid execve',
    errnos: 'EPERM',
    about: /[ug]id_?map/,
    when: ({ isRootless, hasSubuidRange }) => isRootless && hasSubuidRange === false,
    hint: 'this user has no range in /etc/subuid; add one: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER',
    see: ['user_namespaces(7)', 'subuid(5)'],
  },
  {
    calls: 'execve',
    errnos: 'ENOENT',
    about: /\/new[ug]idmap"/,
    hint: 'install newuidmap and newgidmap: package uidmap on Debian and Ubuntu, shadow-utils elsewhere',
    see: ['newuidmap(1)', 'newgidmap(1)'],
  },
  {
    calls: 'waitid',
    errnos: 'EPERM',
    about: /new[ug]idmap/,
    when: ({ hasNoNewPrivileges }) => hasNoNewPrivileges === true,
    hint: 'newuidmap is set-uid root, which no_new_privs takes away from it; start coffer without that, or map one id alone',
    see: ['newuidmap(1)', 'PR_SET_NO_NEW_PRIVS(2const)'],
  },
  {
    calls: 'waitid',
    errnos: 'EPERM',
    about: /new[ug]idmap/,
    hint: 'linux.uidMappings and linux.gidMappings may only name ids that /etc/subuid and /etc/subgid give to this user, and its own',
    see: ['newuidmap(1)', 'subuid(5)', 'subgid(5)'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /[ug]id_map/,
    hint: 'the ranges of linux.uidMappings and of linux.gidMappings must not overlap, and none may be empty',
    see: USER,
  },
  {
    calls: 'setresuid setresgid setgroups fchownat fchown',
    errnos: 'EINVAL',
    when: isInUserNamespace,
    hint: 'the user namespace of the container has no such id; add it to linux.uidMappings or linux.gidMappings',
    see: USER,
  },
  {
    calls: 'setgroups',
    errnos: 'EPERM',
    when: ({ deniesSetgroups }) => deniesSetgroups === true,
    hint: 'coffer is in a user namespace that denies setgroups(2) for all below it (/proc/self/setgroups); leave process.user.additionalGids out',
    see: USER,
  },
  {
    calls: 'setgroups',
    errnos: 'EPERM',
    when: ({ isRootless, hasSubgidRange }) => isRootless && hasSubgidRange === false,
    hint: 'without a range in /etc/subgid the kernel refuses additional groups; add one: usermod --add-subgids 100000-165535 $USER, or leave process.user.additionalGids out',
    see: ['user_namespaces(7)', 'subgid(5)'],
  },
]

export const namespaceRules = (): readonly Rule[] => [
  {
    calls: CLONES,
    errnos: 'EPERM',
    about: /CLONE_NEW(?!USER)/,
    when: ({ isRootless, usesUserNamespace }) => isRootless && usesUserNamespace === false,
    hint: 'without privilege, namespaces can be made only in a user namespace; add {"type": "user"} to linux.namespaces, or run as root',
    see: ['namespaces(7)', 'user_namespaces(7)'],
  },
  {
    calls: CLONES,
    errnos: 'ENOSPC',
    about: /CLONE_NEW/,
    when: ({ zeroLimits = [] }) => zeroLimits.length > 0,
    hint: ({ zeroLimits = [] }) =>
      `no namespace can be made of a kind whose limit is 0; raise it: sysctl -w ${zeroLimits.map((name) => `user.${name}=15000`).join(' ')}`,
    see: ['namespaces(7)'],
  },
  {
    calls: CLONES,
    errnos: 'ENOSPC',
    about: /CLONE_NEW/,
    hint: 'a limit of /proc/sys/user/max_*_namespaces is reached, or user or pid namespaces are nested 32 deep; raise the limit, or end what uses them: lsns',
    see: ['namespaces(7)'],
  },
  {
    calls: CLONES,
    errnos: 'EINVAL',
    about: /CLONE_NEW/,
    hint: 'this kernel has only the namespaces that are in /proc/self/ns; leave the others out of linux.namespaces',
    see: ['clone(2)', 'namespaces(7)'],
  },
  {
    calls: 'openat getpid setns',
    errnos: 'EACCES EPERM',
    about: /network namespaces of host and container|network device/,
    hint: 'a network device moves only between namespaces over which coffer has CAP_NET_ADMIN; run as root, or take linux.netDevices out',
    see: ['network_namespaces(7)', 'capabilities(7)'],
  },
  {
    calls: 'openat',
    errnos: 'EACCES',
    about: /\/proc\/[0-9]+\/ns\//,
    hint: 'only who might trace a process may join its namespaces: run as root, or as the user of that process',
    see: ['namespaces(7)', 'ptrace(2) "Ptrace access mode checking"'],
  },
  {
    calls: 'setns',
    errnos: 'EPERM',
    about: /enter the namespaces of /,
    when: ({ isRootless }) => isRootless,
    hint: 'without privilege a process can join only a container of the same user, and only one that is started; start it, or run as root',
    see: ['setns(2)', 'ptrace(2) "Ptrace access mode checking"'],
  },
  {
    calls: 'setns',
    errnos: 'EPERM',
    when: ({ isRootless }) => isRootless,
    hint: 'joining a namespace needs privilege in the user namespace that owns it; join that one, too (linux.namespaces), or run as root',
    see: ['setns(2)', 'user_namespaces(7)'],
  },
  {
    calls: 'sethostname setdomainname',
    errnos: 'EPERM',
    when: ({ isRootless }) => isRootless,
    hint: 'a name of its own needs a uts namespace of its own; add {"type": "uts"} to linux.namespaces, or leave hostname and domainname out',
    see: ['uts_namespaces(7)'],
  },
  {
    calls: 'write',
    errnos: 'ERANGE',
    about: /timens_offsets/,
    hint: 'linux.timeOffsets may set a clock neither below 0 nor beyond 146 years',
    see: ['time_namespaces(7)'],
  },
]
