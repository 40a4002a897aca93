/** Hints for mounts and files: hints.ts. */

import { isInUserNamespace, type Rule } from './hints-rule.ts'

/** The file systems whose mounts show a namespace, and need privilege over it. */
export const mountRules = (): readonly Rule[] => [
  {
    calls: 'mount fsmount fsconfig',
    errnos: 'EPERM',
    about: /"proc"|new proc/,
    when: isInUserNamespace,
    hint: 'in a user namespace a procfs needs a pid namespace of its own (add {"type": "pid"} to linux.namespaces) and a /proc outside that nothing covers (docker: --security-opt systempaths=unconfined)',
    see: ['user_namespaces(7)', 'mount_namespaces(7)'],
  },
  {
    calls: 'mount fsmount fsconfig',
    errnos: 'EPERM',
    about: /"sysfs"|new sysfs/,
    when: isInUserNamespace,
    hint: 'in a user namespace a sysfs needs a network namespace of its own (add {"type": "network"} to linux.namespaces) and a /sys outside that nothing covers',
    see: ['user_namespaces(7)', 'mount_namespaces(7)'],
  },
  {
    calls: 'mount fsmount fsconfig',
    errnos: 'EPERM',
    about: /"mqueue"|new mqueue/,
    when: isInUserNamespace,
    hint: 'in a user namespace message queues need an ipc namespace of its own; add {"type": "ipc"} to linux.namespaces',
    see: ['user_namespaces(7)'],
  },
  {
    calls: 'mount fsmount fsconfig',
    errnos: 'EPERM',
    about: /"cgroup2?"|new cgroup/,
    when: isInUserNamespace,
    hint: 'in a user namespace a cgroup file system needs a cgroup namespace of its own; add {"type": "cgroup"} to linux.namespaces',
    see: ['user_namespaces(7)', 'cgroup_namespaces(7)'],
  },
  {
    calls: 'mount fsconfig',
    errnos: 'EINVAL',
    about: /overlay/,
    when: ({ overlayUpperType }) => /^(overlay|nfs4?|vfat|exfat|fuse.*)$/.test(overlayUpperType ?? ''),
    hint: ({ overlayUpperType }) =>
      `upperdir is on ${overlayUpperType}, which overlay cannot write to; put it on ext4, xfs, btrfs or tmpfs`,
    see: ['kernel:filesystems/overlayfs.rst "Upper and Lower"'],
  },
  {
    calls: 'mount fsconfig',
    errnos: 'EBUSY',
    about: /overlay/,
    hint: 'upperdir or workdir is in use by another mount; give each overlay mount its own',
    see: ['kernel:filesystems/overlayfs.rst "Sharing and copying layers"'],
  },
  {
    calls: 'mount fsconfig',
    errnos: 'ELOOP',
    about: /overlay/,
    hint: 'the directories of an overlay mount must not contain one another',
    see: ['kernel:filesystems/overlayfs.rst "Sharing and copying layers"'],
  },
  {
    calls: 'mount fsopen',
    errnos: 'ENODEV',
    hint: (_, { name, args }) =>
      `this kernel has no file system of that type (/proc/filesystems); load its module: modprobe ${args[name === 'mount' ? 2 : 0]}`,
    see: ['mount(2)', 'filesystems(5)'],
  },
]

/** Attributes, roots, files. */
export const fileSystemRules = (): readonly Rule[] => [
  {
    calls: 'mkdirat',
    errnos: 'ENOENT EACCES',
    about: /place for states|take the name/,
    when: ({ isRootless }) => isRootless,
    hint: 'a user keeps states below $XDG_RUNTIME_DIR, which a login sets: export XDG_RUNTIME_DIR=/run/user/$(id -u); or give --root DIR',
    see: ['pam_systemd(8)'],
  },
  {
    calls: 'mount move_mount',
    errnos: 'ENOSPC',
    hint: 'a mount namespace holds no more than fs.mount-max mounts; raise it: sysctl -w fs.mount-max=200000',
    see: ['kernel:admin-guide/sysctl/fs.rst "mount-max"'],
  },
  {
    calls: 'mount_setattr',
    errnos: 'EPERM',
    about: /MOUNT_ATTR_IDMAP/,
    when: ({ isRootless }) => isRootless,
    hint: 'mapping the ids of a mount needs privilege over its file system; run as root, or take uidMappings and gidMappings out of mounts',
    see: ['mount_setattr(2)'],
  },
  {
    calls: 'mount_setattr',
    errnos: 'EINVAL',
    about: /MOUNT_ATTR_IDMAP/,
    hint: 'the file system of this mount cannot map ids on this kernel, or it maps some already; take uidMappings and gidMappings out of mounts',
    see: ['mount_setattr(2) "ID-mapped mounts"'],
  },
  {
    calls: 'mount_setattr mount',
    errnos: 'EPERM',
    about: /mount_setattr|MS_REMOUNT/,
    when: isInUserNamespace,
    hint: 'a mount of the host keeps ro, nosuid, nodev, noexec and its atime option in a user namespace; ask for the same in the options of mounts',
    see: ['mount_namespaces(7)'],
  },
  {
    calls: 'pivot_root',
    errnos: 'EINVAL',
    when: ({ rootType }) => rootType === 'rootfs',
    hint: 'the root of this host is an initramfs, which cannot be pivoted away from; use --no-pivot',
    see: ['pivot_root(2)'],
  },
  {
    calls: 'mknodat',
    errnos: 'EPERM',
    about: /S_IF(CHR|BLK)/,
    when: isInUserNamespace,
    hint: 'a user namespace cannot make devices; bind the one of the host: {"type": "bind", "source": "/dev/…", "destination": "/dev/…"} in mounts',
    see: ['mknod(2)', 'user_namespaces(7)'],
  },
  {
    calls: 'openat2 mkdirat',
    errnos: 'EACCES',
    about: / in the container for /,
    when: isInUserNamespace,
    hint: 'the root of the user namespace may not write there; mount a tmpfs over that directory (mounts), or give the root file system to the ids of linux.uidMappings: chown',
    see: ['user_namespaces(7)'],
  },
  {
    calls: 'openat2 mkdirat',
    errnos: 'EROFS',
    about: / in the container for /,
    hint: 'what is mounted around it is read-only; make a file or directory of that name in the source of that mount before, or mount that writable',
    see: ['mount(2)'],
  },
  {
    calls: 'openat2',
    errnos: 'ELOOP',
    about: /RESOLVE_NO_SYMLINKS/,
    hint: 'a symbolic link is in the way, and here none is followed; put a directory in its place in the root file system',
    see: ['openat2(2)'],
  },
  {
    calls: 'write',
    errnos: 'ENOENT',
    about: /"exec /,
    hint: 'that AppArmor profile is not loaded; load it: apparmor_parser -r FILE',
    see: ['apparmor_parser(8)'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /SELinux| label /,
    hint: 'the policy of this host has no such SELinux label; seinfo -t lists its types',
    see: ['selinux(8)'],
  },
  {
    calls: 'openat openat2',
    errnos: 'ENOENT',
    about: /openat2?\(host-proc, "sys\//,
    hint: 'this kernel, or the namespaces of the container, have no such setting; take it out of linux.sysctl',
    see: ['proc_sys(5)', 'oci:runtime-spec/config-linux.md#sysctl'],
  },
]
