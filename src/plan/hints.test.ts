import { expect, test } from 'bun:test'
import { packU64, structOf64 } from '../linux/bytes.ts'
import { type Argument, type Call, slot, strings } from '../linux/call.ts'
import * as files from '../linux/files.ts'
import * as mounts from '../linux/mount.ts'
import * as namespaces from '../linux/namespaces.ts'
import * as processes from '../linux/process.ts'
import { hintFor, hintRules, ruleFor } from './hints.ts'
import type { HintFacts } from './hints-rule.ts'

const { AT_FDCWD } = files
const root: HintFacts = { isRootless: false }
const user: HintFacts = { isRootless: true }
const inUser: HintFacts = { isRootless: false, usesUserNamespace: true }

const call = (name: string, ...args: readonly Argument[]): Call => ({ name, args })
const put = (file: string, value: string): Call => files.write(slot(file), value, value.length)
const open = (path: string): Call => files.openat(AT_FDCWD, path, files.O_WRONLY)
const clone = (flags: number): Call => call('clone3', structOf64([flags, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0]), 88)
const newMount = (type: string): Call => call('mount', type, 'self/fd/7', type, 0, '')
const exec = processes.execve('/bin/app', strings(['app']), strings([]))
const idmap = mounts.mountSetattr(slot('tree'), { set: mounts.MOUNT_ATTR_IDMAP, userNamespace: slot('users') })

interface Case {
  readonly call: Call
  readonly errno: string
  readonly facts: HintFacts
  /** Part of the hint. */
  readonly hint: string
  readonly why?: string
}

const of = (errno: string, failed: Call, hint: string, facts: HintFacts = root, why = 'do it'): Case => ({
  call: failed,
  errno,
  facts,
  hint,
  why,
})

const { CLONE_NEWNET, CLONE_NEWUSER } = namespaces

function toolCases(): readonly Case[] {
  const tool = (name: string, facts: Partial<HintFacts> = {}): HintFacts => ({ ...root, tool: name, ...facts })
  const pivot = mounts.pivotRoot('.', 'old')
  const [inPivot, inUnshare] = [tool('pivot-root'), tool('unshare')]
  return [
    of('EBUSY', pivot, 'is the present root', { ...inPivot, newRoot: 'root' }),
    of('EBUSY', pivot, 'add --bind', { ...inPivot, newRoot: 'directory' }),
    of('EINVAL', pivot, 'the mount /srv is shared', { ...inPivot, newRoot: 'mount', sharedMount: '/srv' }),
    of('EINVAL', pivot, 'switch_root(8)', { ...inPivot, rootType: 'rootfs' }),
    of('ENOENT', pivot, 'add --mkdir', inPivot),
    of('EPERM', pivot, 'CAP_SYS_ADMIN over the mount namespace', inPivot),
    of('EINVAL', namespaces.setns(slot('user namespace'), CLONE_NEWUSER), 'leave --user out', tool('nsenter')),
    of(
      'EINVAL',
      namespaces.setns(slot('network namespace'), CLONE_NEWNET),
      'no namespace of that kind',
      tool('nsenter'),
    ),
    of('EPERM', namespaces.setns(slot('network namespace'), CLONE_NEWNET), '(--user)', { ...user, tool: 'nsenter' }),
    of('EPERM', namespaces.setns(slot('network namespace'), CLONE_NEWNET), 'run as root', {
      ...user,
      tool: 'netns exec',
    }),
    of('ESRCH', processes.pidfdOpen(7), 'ps -e', tool('nsenter')),
    of('EPERM', namespaces.unshare(CLONE_NEWNET), '--map-root-user', {
      ...user,
      tool: 'unshare',
      usesUserNamespace: false,
    }),
    of('EPERM', newMount('proc'), 'add --pid --fork', inUnshare),
    of('EINVAL', mounts.bindMount('/proc/7/ns/mnt', '/run/m', { recursive: false }), 'mount --make-private', inUnshare),
    of('ERANGE', put('timens_offsets', 'monotonic -1 0\n'), '--boottime', inUnshare),
    of('EPERM', put('uid_map', '0 0 9\n'), 'ids that the caller has', inUnshare),
    of('EINVAL', put('uid_map', '0 0 9\n'), '--map-users', inUnshare),
    of('EPERM', call('waitid', 3, slot('newuidmap-pidfd'), 0, 4, 0), '--map-users', inUnshare),
    of('EINVAL', processes.setresuid(7, 7, 7), '--map-users', inUnshare),
    of('EPERM', processes.setgroups(0, new Uint8Array()), '--map-auto', inUnshare),
    of('EPERM', files.chroot('/srv'), 'CAP_SYS_CHROOT', tool('chroot')),
    of(
      'EBUSY',
      files.unlinkat(AT_FDCWD, '/sys/fs/cgroup/web', files.AT_REMOVEDIR),
      '--recursive',
      tool('cgroup delete'),
    ),
    of('ESRCH', put('cgroup.procs', '7'), 'ps -e', tool('cgroup classify')),
    of('ENOENT', open('/sys/fs/cgroup/web/memory.nothing'), 'no such file', tool('cgroup set')),
  ]
}

const cases: readonly Case[] = [
  of('ENOSPC', clone(CLONE_NEWUSER), 'user.max_user_namespaces = 0', { ...user, maxUserNamespaces: 0 }),
  of('EPERM', clone(CLONE_NEWUSER), 'kernel.unprivileged_userns_clone', { ...user, allowsUserNamespaces: false }),
  of('EPERM', namespaces.unshare(CLONE_NEWNET), 'AppArmor', { ...user, isRestrictedByApparmor: true }),
  of('EPERM', put('uid_map', '0 1000 1\n'), '--add-subuids', { ...user, hasSubuidRange: false }),
  of('EPERM', put('uid_map', '0 0 9\n'), 'in a user namespace itself', { ...user, canMapIds: true }),
  of('EPERM', call('waitid', 3, slot('newuidmap-pidfd'), 0, 4, 0), 'no_new_privs', {
    ...user,
    hasSubuidRange: true,
    hasNoNewPrivileges: true,
  }),
  of('ENOENT', processes.execve('/usr/bin/newuidmap', strings([]), strings([])), 'package uidmap', user),
  of('EPERM', call('waitid', 3, slot('newgidmap-pidfd'), 0, 4, 0), 'only name ids that /etc/subuid', user),
  of('EINVAL', put('gid_map', '0 0 1\n0 0 1\n'), 'must not overlap'),
  of('EINVAL', processes.setresuid(7, 7, 7), 'add it to linux.uidMappings', inUser),
  of('EPERM', processes.setgroups(1, new Uint8Array(4)), '/etc/subgid', { ...user, hasSubgidRange: false }),
  of('EPERM', processes.setgroups(1, new Uint8Array(4)), 'denies setgroups(2)', { ...user, deniesSetgroups: true }),
  of('EPERM', clone(CLONE_NEWNET), '{"type": "user"}', { ...user, usesUserNamespace: false }),
  of('ENOSPC', clone(CLONE_NEWNET), 'max_*_namespaces'),
  of('ENOSPC', clone(CLONE_NEWNET), 'sysctl -w user.max_net_namespaces=15000', {
    ...root,
    zeroLimits: ['max_net_namespaces'],
  }),
  of('EINVAL', clone(namespaces.CLONE_NEWTIME), '/proc/self/ns'),
  of('EPERM', namespaces.setns(slot('network namespace'), CLONE_NEWNET), 'user namespace that owns it', user),
  of('EPERM', namespaces.setns(5, CLONE_NEWNET), 'only one that is started', user, 'enter the namespaces of web'),
  of('EACCES', open('/proc/1/ns/net'), 'only who might trace'),
  of('EPERM', call('getpid'), 'CAP_NET_ADMIN', root, 'move the network device eth1, as eth0'),
  of('EPERM', namespaces.sethostname('web', 3), '{"type": "uts"}', user),
  of('ERANGE', put('timens_offsets', 'monotonic -1 0\n'), '146 years'),
  of('EBUSY', put('cgroup.subtree_control', '+memory'), 'systemd-run --user --scope', user),
  of('ENOENT', put('cgroup.subtree_control', '+memory'), 'each cgroup above'),
  of('EINVAL', put('cgroup.subtree_control', '+memory'), 'cgroup.controllers'),
  of('EBUSY', put('cgroup.procs', '0'), 'hands controllers on'),
  of('EACCES', files.mkdirat(AT_FDCWD, '/sys/fs/cgroup/web', 0o755), 'not given to this user', user),
  of('EROFS', files.mkdirat(AT_FDCWD, '/sys/fs/cgroup/web', 0o755), 'writable /sys/fs/cgroup'),
  of('EAGAIN', files.mkdirat(AT_FDCWD, '/sys/fs/cgroup/web', 0o755), 'cgroup.max.depth'),
  of('ENOSPC', files.mkdirat(AT_FDCWD, '/sys/fs/cgroup/memory/web', 0o755), '65,535'),
  of('ENOSPC', put('tasks', '0'), 'linux.resources.cpu.mems'),
  of('EINVAL', put('cpu.max.burst', '9'), 'cpu.burst must not'),
  of('EINVAL', put('cpu.cfs_quota_us', '9'), 'at least 1,000 µs'),
  of('ENOENT', open('/sys/fs/cgroup/cpu/web/cpu.rt_runtime_us'), 'CONFIG_RT_GROUP_SCHED'),
  of('EINVAL', put('cpu.rt_runtime_us', '9'), 'cpu.rt_runtime_us first'),
  of('EACCES', put('cpuset.cpus', '0-3'), 'cgroup above may not use'),
  of('EINVAL', put('cpuset.mems', '9'), '/sys/devices/system'),
  of('EINVAL', put('memory.limit_in_bytes', '9'), 'not be less than memory.limit'),
  of('EBUSY', put('memory.limit_in_bytes', '9'), 'higher limit'),
  of('ENOENT', open('/sys/fs/cgroup/memory/web/memory.memsw.limit_in_bytes'), 'swapaccount=1'),
  of('ENODEV', put('blkio.throttle.read_bps_device', '8:1 9'), 'whole disk'),
  of('EOPNOTSUPP', put('io.weight', '8:0 100'), 'queue/scheduler'),
  of('ENOENT', open('/sys/fs/cgroup/web/io.bfq.weight'), 'modprobe bfq'),
  of('ENOENT', open('/sys/fs/cgroup/web/hugetlb.2MB.max'), '/sys/kernel/mm/hugepages'),
  of('EPERM', put('devices.allow', 'c 1:3 rwm'), 'devices.list'),
  ...toolCases(),
  of('EPERM', newMount('proc'), '{"type": "pid"}', inUser),
  of('EPERM', newMount('sysfs'), '{"type": "network"}', inUser),
  of('EPERM', newMount('mqueue'), '{"type": "ipc"}', inUser),
  of('EPERM', newMount('cgroup2'), '{"type": "cgroup"}', user),
  of('EINVAL', newMount('overlay'), 'is on nfs4', { ...root, overlayUpperType: 'nfs4' }),
  of('EBUSY', newMount('overlay'), 'in use by another mount'),
  of('ELOOP', newMount('overlay'), 'contain one another'),
  of('ENODEV', newMount('btrfs'), 'modprobe btrfs'),
  of('ENOSPC', mounts.attach(slot('tree'), slot('target')), 'fs.mount-max'),
  of('EPERM', idmap, 'privilege over its file system', user),
  of('EINVAL', idmap, 'cannot map ids'),
  of('EPERM', mounts.mountSetattr(slot('tree'), { set: 0, clear: 1 }), 'keeps ro, nosuid', inUser),
  of('EINVAL', mounts.pivotRoot('.', '.'), '--no-pivot', { ...root, rootType: 'rootfs' }),
  of('EPERM', files.mknodat(slot('dev'), 'null', files.S_IFCHR, 0), 'cannot make devices', inUser),
  of('ELOOP', files.openBeneath(slot('root'), 'dev', files.O_PATH), 'symbolic link'),
  of('ENOENT', put('attribute', 'exec docker-default'), 'apparmor_parser'),
  of('EINVAL', put('attribute', 'a:b:c:d'), 'seinfo', root, 'run it with the label a:b:c:d'),
  of('ENOENT', files.openBeneath(slot('host-proc'), 'sys/kernel/nothing', files.O_WRONLY), 'linux.sysctl'),
  of('ENOENT', exec, 'interpreter /lib/ld-musl-x86_64.so.1', {
    ...root,
    missingInterpreter: '/lib/ld-musl-x86_64.so.1',
  }),
  of('EACCES', exec, 'without noexec'),
  of('ENOEXEC', exec, 'begin with #!'),
  of('E2BIG', exec, '128 KiB'),
  of('ETXTBSY', exec, 'fuser'),
  of('EAGAIN', exec, 'RLIMIT_NPROC'),
  of('ENOENT', files.chdir('/srv'), 'in the image', root, 'start in /srv'),
  of('EACCES', files.chdir('/srv'), 'may not enter', root, 'start in /srv as its user'),
  of('EPERM', call('capset', new Uint8Array(8), new Uint8Array(24)), 'process.capabilities'),
  of(
    'EPERM',
    processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_RAISE, 1),
    'permitted and inheritable',
  ),
  of('EACCES', call('seccomp', 1, 0, new Uint8Array(16)), 'process.noNewPrivileges'),
  of('EBUSY', call('seccomp', 1, 8, new Uint8Array(16)), 'one seccomp listener'),
  of('EINVAL', call('seccomp', 1, 8 | 32, new Uint8Array(16)), 'Linux 5.19'),
  of('EPERM', call('prlimit64', 0, 7, packU64([9, 9]), 0), 'CAP_SYS_RESOURCE'),
  of('EINVAL', call('prlimit64', 0, 7, packU64([9, 1]), 0), 'soft limit'),
  of('EBUSY', call('sched_setattr', 0, new Uint8Array(56), 0), 'SCHED_DEADLINE'),
  of('EPERM', call('ioprio_set', 1, 0, 1 << 13), 'CAP_SYS_NICE'),
  of('EINVAL', call('sched_setaffinity', 0, 8, new Uint8Array(8)), 'process.execCPUAffinity'),
  of('EACCES', put('oom_score_adj', '-999'), 'only be raised'),
  of('EDQUOT', call('keyctl', 1, 'web', 0, 0, 0), 'kernel.keys.maxkeys'),
  of('EAGAIN', clone(0), 'pids.max'),
  of('ECONNREFUSED', call('connect', slot('console'), new Uint8Array(110), 110), 'nobody listens'),
  of('ENOSYS', mounts.mountSetattr(slot('tree'), { set: 1 }), 'mount_setattr needs Linux 5.12'),
  of(
    'ENOENT',
    files.mkdirat(AT_FDCWD, '/run/user/7/coffer', 0o711),
    'XDG_RUNTIME_DIR',
    user,
    'have a place for states',
  ),
  of(
    'EACCES',
    call('openat2', slot('root'), 'dev/null', new Uint8Array(24), 24),
    'mount a tmpfs',
    inUser,
    'make /dev/null in the container for it',
  ),
  of(
    'EROFS',
    call('openat2', slot('root'), 'etc/hosts', new Uint8Array(24), 24),
    'in the source of that mount',
    root,
    'make /etc/hosts in the container for the bind mount of /x',
  ),
  of('EMFILE', open('/x'), 'ulimit -n'),
  of('ENFILE', open('/x'), 'fs.file-max'),
]

test('each failure gets its hint', () => {
  const wrong = cases.filter(({ hint, why = '', ...failed }) => !hintFor({ ...failed, why })?.hint.includes(hint))
  expect(wrong.map(({ call: { name }, errno, hint }) => `${name} ${errno} ${hint}`)).toEqual([])
})

test('each rule is produced by one of these failures', () => {
  const used = cases.map(({ why = '', ...failed }) => ruleFor({ ...failed, why }))
  expect(
    hintRules()
      .filter((rule) => !used.includes(rule))
      .map(({ calls, errnos }) => `${calls} ${errnos}`),
  ).toEqual([])
})

test('a hint is a phrase: it begins small unless with a name, and has no full stop at its end', () => {
  for (const { why = '', ...failed } of cases) {
    const hint = hintFor({ ...failed, why })?.hint ?? ''
    expect(hint).toMatch(/^([a-z]|[A-Z]{2}|AppArmor|I\/O)/)
    expect(hint).not.toMatch(/\.$/)
  }
})

test('without the facts that decide, there is no hint', () => {
  const silent = [
    of('EPERM', clone(CLONE_NEWUSER), ''),
    of('EPERM', put('uid_map', '0 0 9\n'), '', { ...user, hasSubuidRange: true }),
    of('EPERM', newMount('proc'), ''),
    of('EINVAL', newMount('overlay'), ''),
    of('EINVAL', mounts.pivotRoot('.', '.'), '', { ...root, rootType: 'ext4' }),
    of('ENOENT', exec, ''),
    of('ENOENT', open('/etc/passwd'), ''),
    of('EIO', open('/etc/passwd'), ''),
  ]
  expect(silent.map(({ why = '', ...failed }) => hintFor({ ...failed, why })).filter(Boolean)).toEqual([])
})

test('the path of a descriptor decides where its name does not', () => {
  const failed = { call: put('file', '+memory'), errno: 'EBUSY', why: 'limit memory of web-1', facts: root }
  expect(hintFor(failed)).toBeUndefined()
  expect(hintFor({ ...failed, path: '/sys/fs/cgroup/user.slice/cgroup.subtree_control' })?.hint).toBe(
    'a cgroup with processes cannot give controllers to its children; give coffer its own: systemd-run --scope -p Delegate=yes coffer …',
  )
})
