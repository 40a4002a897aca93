import { expect, test } from 'bun:test'
import { linesOf, settingsOf, undoOf } from '../../test/plan-lines.ts'
import { OperationError } from '../base/errors.ts'
import type { CgroupLayout, Hierarchy } from '../linux/cgroup.ts'
import { parseResources } from '../oci/resources.ts'
import { type CgroupPlan, type CgroupWish, planCgroup } from './cgroup.ts'
import { isWhole, unlessDivided } from './cgroup-remove.ts'

const mounted = (name: string, version: 1 | 2 = 1): Hierarchy => ({
  version,
  controllers: version === 1 ? [name === 'systemd' ? 'name=systemd' : name] : [],
  mountPoint: version === 1 ? `/sys/fs/cgroup/${name}` : name,
  own: '/',
  readonly: false,
  isDelegated: true,
})
const hybrid: CgroupLayout = {
  mode: 'hybrid',
  hierarchies: [
    ...['cpuset', 'memory', 'devices', 'freezer'].map((name) => mounted(name)),
    mounted('/sys/fs/cgroup/unified', 2),
  ],
  unmounted: [['net_cls'], ['hugetlb']],
  available: [],
  enabled: [],
}
const unified: CgroupLayout = {
  mode: 'v2',
  hierarchies: [mounted('/sys/fs/cgroup', 2)],
  unmounted: [['net_cls', 'net_prio']],
  available: ['cpu', 'io', 'memory', 'pids'],
  enabled: ['memory', 'pids'],
}
const ANY = { devices: [{ allow: true, access: 'rwm' }] }
const way = { root: '/run/coffer', isThere: (path: string) => !path.startsWith('/sys/fs/cgroup/cpuset/') }
const plan = (layout: CgroupLayout, resources: object = ANY, more: Partial<CgroupWish> = {}): CgroupPlan =>
  planCgroup({ id: 'web-1', layout, isRootless: false, way, resources: parseResources(resources, 'test'), ...more })
function refusal(layout: CgroupLayout, resources: object, more: Partial<CgroupWish> = {}): OperationError {
  try {
    plan(layout, { ...ANY, ...resources }, more)
  } catch (error) {
    if (error instanceof OperationError) return error
  }
  throw new Error('the plan was made')
}

test('a container gets a cgroup in every v1 hierarchy and in v2', () => {
  const { create, open, join, cloneInto } = plan(hybrid)
  expect(linesOf(create)).toBe(`mkdirat("/sys/fs/cgroup/cpuset/coffer-web-1", 0755) or EEXIST
 then:
  cpuset.cpus-above = openat("/sys/fs/cgroup/cpuset/cpuset.cpus", O_RDONLY)
  cpuset.cpus = openat("/sys/fs/cgroup/cpuset/coffer-web-1/cpuset.cpus", O_RDWR)
  sendfile(cpuset.cpus, cpuset.cpus-above, 4096)
  cpuset.mems-above = openat("/sys/fs/cgroup/cpuset/cpuset.mems", O_RDONLY)
  cpuset.mems = openat("/sys/fs/cgroup/cpuset/coffer-web-1/cpuset.mems", O_RDWR)
  sendfile(cpuset.mems, cpuset.mems-above, 4096)
mkdirat("/sys/fs/cgroup/memory/coffer-web-1", 0755) or EEXIST
mkdirat("/sys/fs/cgroup/devices/coffer-web-1", 0755) or EEXIST
mkdirat("/sys/fs/cgroup/freezer/coffer-web-1", 0755)
 or, if EEXIST:
  cgroup.procs = openat("/sys/fs/cgroup/freezer/coffer-web-1/cgroup.procs", O_RDONLY)
  read(cgroup.procs, &cgroup-first-pid) == 0 else EBUSY
  freezer.state = openat("/sys/fs/cgroup/freezer/coffer-web-1/freezer.state", O_WRONLY)
  write(freezer.state, "THAWED")
mkdirat("/sys/fs/cgroup/unified/coffer-web-1", 0755) or EEXIST
cgroup = openat("/sys/fs/cgroup/unified/coffer-web-1", O_RDONLY)`)
  expect(linesOf(open).split('\n')[1]).toBe(
    'tasks:memory = openat("/sys/fs/cgroup/memory/coffer-web-1/tasks", O_WRONLY)',
  )
  expect(linesOf(join)).toBe(
    ['cpuset', 'memory', 'devices', 'freezer'].map((name) => `write(tasks:${name}, "0")`).join('\n'),
  )
  expect(cloneInto).toEqual({ slot: 'cgroup' })
})

test('each directory that was made is removed by undo, and its cgroup at the end even if it was there', () => {
  const { create, remove } = plan(hybrid, ANY, { cgroupsPath: '/a/b' })
  const undone = undoOf(create).split('\n')
  const last = undone.indexOf('flock(cgroup-way, LOCK_UN)')
  // What is done last: the marks that others left on the way.
  expect(undone.slice(0, last)).toEqual([
    'flock(cgroup-way, LOCK_EX)',
    ...hybrid.hierarchies.flatMap(({ mountPoint }) => [
      `setxattr("${mountPoint}/a", "user.coffer", NULL, XATTR_REPLACE) or ENODATA or ENOENT or EPERM or EACCES`,
      ' then:',
      `  unlinkat("${mountPoint}/a", AT_REMOVEDIR) or EBUSY or ENOTEMPTY or ENOENT`,
      `  setxattr("${mountPoint}/a", "user.coffer", NULL) or ENOENT or ENOSPC or EPERM or EACCES`,
    ]),
  ])
  expect(undone.slice(last + 1, last + 6)).toEqual([
    'flock(cgroup-way, LOCK_EX)',
    'unlinkat("/sys/fs/cgroup/cpuset/a", AT_REMOVEDIR) or EBUSY or ENOTEMPTY or ENOENT',
    'setxattr("/sys/fs/cgroup/cpuset/a", "user.coffer", NULL) or ENOENT or ENOSPC or EPERM or EACCES',
    'flock(cgroup-way, LOCK_UN)',
    'unlinkat("/sys/fs/cgroup/cpuset/a/b", AT_REMOVEDIR) again while EBUSY, or ENOENT',
  ])
  expect(linesOf(remove).split('\n')[0]).toBe(
    'unlinkat("/sys/fs/cgroup/cpuset/a/b", AT_REMOVEDIR) again while EBUSY, or ENOENT',
  )
})

test('what ends with the removal of cgroups is done only if none of them has others in it', () => {
  const { paths, remove } = plan(unified, ANY)
  expect(linesOf(unlessDivided({ paths: { ...paths, memory: '/memory/web-1' } }, remove))).toBe(
    `statx("/sys/fs/cgroup/coffer-web-1", STATX_NLINK, &cgroup-statx) if cgroup-statx[16:20] == 2 else ENOTEMPTY, or ENOTEMPTY or ENOENT
 then:
  statx("/memory/web-1", STATX_NLINK, &last-cgroup-statx) if last-cgroup-statx[16:20] == 2 else ENOTEMPTY, or ENOTEMPTY or ENOENT
   then:
    unlinkat("/sys/fs/cgroup/coffer-web-1", AT_REMOVEDIR) again while EBUSY, or ENOENT`,
  )
  const links = (count: number): Uint8Array => new Uint8Array(256).fill(count, 16, 17)
  expect([0, 2, 3].map((count) => isWhole(links(count)))).toEqual([false, true, false])
})

test('directories on the way are made and removed under a lock; at the end those that it made, and those that were left to it', () => {
  const { create, remove, parents } = plan({ ...hybrid, hierarchies: [mounted('cpuset'), mounted('devices')] }, ANY, {
    cgroupsPath: '/a/b/c',
  })
  const lines = linesOf(create).split('\n')
  expect([lines[0], lines[1]]).toEqual([
    'cgroup-way = openat("/run/coffer/.cgroups", O_RDONLY|O_CREAT, 0600)',
    'flock(cgroup-way, LOCK_EX)',
  ])
  const made = lines.findLastIndex((line) => line.startsWith('mkdirat('))
  expect(lines.indexOf('flock(cgroup-way, LOCK_UN)')).toBeGreaterThan(made)
  expect(parents).toEqual([
    { path: '/sys/fs/cgroup/cpuset/a/b', isMade: true },
    { path: '/sys/fs/cgroup/cpuset/a', isMade: true },
    { path: '/sys/fs/cgroup/devices/a/b', isMade: false },
    { path: '/sys/fs/cgroup/devices/a', isMade: false },
  ])
  const mark = '"user.coffer", NULL'
  const unless = 'or EBUSY or ENOTEMPTY or ENOENT'
  expect(linesOf(remove).split('\n').slice(2, 11)).toEqual([
    'cgroup-way = openat("/run/coffer/.cgroups", O_RDONLY|O_CREAT, 0600)',
    'flock(cgroup-way, LOCK_EX)',
    `unlinkat("/sys/fs/cgroup/cpuset/a/b", AT_REMOVEDIR) ${unless}`,
    `setxattr("/sys/fs/cgroup/cpuset/a/b", ${mark}) or ENOENT or ENOSPC or EPERM or EACCES`,
    `unlinkat("/sys/fs/cgroup/cpuset/a", AT_REMOVEDIR) ${unless}`,
    `setxattr("/sys/fs/cgroup/cpuset/a", ${mark}) or ENOENT or ENOSPC or EPERM or EACCES`,
    `setxattr("/sys/fs/cgroup/devices/a/b", ${mark}, XATTR_REPLACE) or ENODATA or ENOENT or EPERM or EACCES`,
    ' then:',
    `  unlinkat("/sys/fs/cgroup/devices/a/b", AT_REMOVEDIR) ${unless}`,
  ])
})

test('a directory on the way to a cpuset keeps the settings that it has', () => {
  const { create } = plan({ ...hybrid, hierarchies: [mounted('cpuset'), mounted('devices')] }, ANY, {
    cgroupsPath: '/a/b',
  })
  expect(linesOf(create).split('\n').slice(2, 10)).toEqual([
    'mkdirat("/sys/fs/cgroup/cpuset/a", 0755) or EEXIST',
    ' then:',
    '  setxattr("/sys/fs/cgroup/cpuset/a", "user.coffer", NULL) or ENOENT or ENOSPC or EPERM or EACCES',
    'cpuset.cpus = openat("/sys/fs/cgroup/cpuset/a/cpuset.cpus", O_RDWR)',
    'read(cpuset.cpus, &cpuset.cpus-before) == 1 else EEXIST, or EEXIST',
    ' then:',
    '  cpuset.cpus-above = openat("/sys/fs/cgroup/cpuset/cpuset.cpus", O_RDONLY)',
    '  sendfile(cpuset.cpus, cpuset.cpus-above, 4096)',
  ])
})

test('CPUs that are asked for are not copied first', () => {
  const { create } = plan(hybrid, { ...ANY, cpu: { cpus: '0-1' } })
  expect(linesOf(create)).not.toContain('cpuset.cpus-above')
  expect(settingsOf(create)).toContain('cpuset.cpus = 0-1')
})

test('v2 hands on all controllers, and insists only on those that limits need', () => {
  const { create } = plan(unified, { ...ANY, blockIO: { weight: 100 } }, { cgroupsPath: '/a/b' })
  expect(linesOf(create)).toBe(`cgroup-way = openat("/run/coffer/.cgroups", O_RDONLY|O_CREAT, 0600)
flock(cgroup-way, LOCK_EX)
cgroup.subtree_control = openat("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY)
write(cgroup.subtree_control, "+cpu +io +memory +pids")
 or, if EBUSY or EINVAL or ENOENT or EOPNOTSUPP:
  write(cgroup.subtree_control, "+io")
mkdirat("/sys/fs/cgroup/a", 0755) or EEXIST
 then:
  setxattr("/sys/fs/cgroup/a", "user.coffer", NULL) or ENOENT or ENOSPC or EPERM or EACCES
cgroup.subtree_control = openat("/sys/fs/cgroup/a/cgroup.subtree_control", O_WRONLY)
write(cgroup.subtree_control, "+cpu +io +memory +pids")
 or, if EBUSY or EINVAL or ENOENT or EOPNOTSUPP:
  write(cgroup.subtree_control, "+io")
mkdirat("/sys/fs/cgroup/a/b", 0755)
 or, if EEXIST:
  cgroup.procs = openat("/sys/fs/cgroup/a/b/cgroup.procs", O_RDONLY)
  read(cgroup.procs, &cgroup-first-pid) == 0 else EBUSY
  cgroup.freeze = openat("/sys/fs/cgroup/a/b/cgroup.freeze", O_WRONLY)
  write(cgroup.freeze, "0")
cgroup = openat("/sys/fs/cgroup/a/b", O_RDONLY)
flock(cgroup-way, LOCK_UN)
io.bfq.weight = openat("/sys/fs/cgroup/a/b/io.bfq.weight", O_WRONLY)
 then:
  write(io.bfq.weight, "default 100")
 or, if ENOENT:
  io.weight = openat("/sys/fs/cgroup/a/b/io.weight", O_WRONLY)
  write(io.weight, "default 910")`)
})

test('a mounted cgroup that hands on everything already is left as it is', () => {
  const { create } = plan({ ...unified, enabled: unified.available })
  expect(linesOf(create)).not.toContain('subtree_control')
})

test('the host keeps its v2 controllers to itself beside v1', () => {
  const { create } = plan({ ...hybrid, available: ['hugetlb'] })
  expect(linesOf(create)).not.toContain('subtree_control')
})

test('a controller that nobody mounted is mounted for this container alone, and only if a limit needs it', () => {
  const { create, open, remove, unmounted } = plan(hybrid, { ...ANY, network: { classID: 7 } }, { cgroupsPath: '/a/b' })
  expect(linesOf(create)).toContain(`cgroup-mount-context = fsopen("cgroup")
fsconfig(cgroup-mount-context, FSCONFIG_SET_FLAG, "net_cls")
fsconfig(cgroup-mount-context, FSCONFIG_CMD_CREATE)
 then:
  cgroup-mount:net_cls = fsmount(cgroup-mount-context, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC)
 or, if EBUSY:
  cgroup-mount:net_cls = memfd_create("cgroup-mount")
  cgroup-mount-pidfd = clone3(CLONE_FILES|CLONE_NEWNS, pidfd=&cgroup-mount-pidfd, SIGCHLD)
   the child:
    mount("/proc", MS_PRIVATE)
    mount("cgroup", "/proc", "cgroup", MS_NOSUID|MS_NODEV|MS_NOEXEC, "net_cls")
    cgroup-mount-root = openat("/proc", O_PATH)
    dup3(cgroup-mount-root, cgroup-mount:net_cls)
    close(cgroup-mount-root)
  waitid(P_PIDFD, cgroup-mount-pidfd, &cgroup-mount-exit, WEXITED) if cgroup-mount-exit[24:28] == 0 else ECANCELED
  close(cgroup-mount-pidfd)
close(cgroup-mount-context)
mkdirat(cgroup-mount:net_cls, "a~b", 0755) or EEXIST
flock(cgroup-way, LOCK_UN)
net_cls.classid = openat(cgroup-mount:net_cls, "a~b/net_cls.classid", O_WRONLY)
write(net_cls.classid, "7")`)
  expect(linesOf(open)).toContain('tasks:net_cls = openat(cgroup-mount:net_cls, "a~b/tasks", O_WRONLY)')
  expect(linesOf(remove)).toContain('nanosleep({tv_sec=0, tv_nsec=150000000})')
  expect(unmounted).toEqual({ net_cls: 'a~b' })
  expect(linesOf(plan(hybrid).create)).not.toContain('fsopen')
})

test('controllers of one hierarchy are mounted together', () => {
  const { create, unmounted } = plan(unified, { ...ANY, network: { priorities: [{ name: 'lo', priority: 2 }] } })
  expect(linesOf(create)).toContain(
    'FSCONFIG_SET_FLAG, "net_cls")\nfsconfig(cgroup-mount-context, FSCONFIG_SET_FLAG, "net_prio")',
  )
  expect(unmounted).toEqual({ 'net_cls,net_prio': 'coffer-web-1' })
})

test('every container is held to its devices', () => {
  expect(settingsOf(plan(hybrid, {}).create)).toContain('devices.deny = a')
  expect(linesOf(plan(unified, {}).create)).toContain('BPF_PROG_TYPE_CGROUP_DEVICE')
  expect(settingsOf(plan(hybrid, ANY).create)).not.toContain('devices.deny = a')
})

test('a limit without its controller is refused by name', () => {
  const error = refusal(hybrid, { pids: { limit: 5 } })
  expect([error.kind, error.message]).toEqual([
    'unsupported',
    'cannot apply linux.resources.pids.limit: this kernel has no pids controller',
  ])
  expect(refusal(unified, { rdma: { mlx5_0: { hcaHandles: 1 } } }).message).toBe(
    'cannot apply linux.resources.rdma: the cgroup at /sys/fs/cgroup has not been given the rdma controller',
  )
})

test('a hierarchy that is read-only is named', () => {
  const readonly = { ...hybrid, hierarchies: [{ ...mounted('memory'), readonly: true }, mounted('devices')] }
  expect(refusal(readonly, { memory: { limit: 1 << 20 } }).message).toBe(
    'cannot apply linux.resources.memory.limit: the memory controller is mounted read-only at /sys/fs/cgroup/memory',
  )
})

test('a machine without cgroups says how to mount them', () => {
  const none: CgroupLayout = { mode: 'none', hierarchies: [], unmounted: [], available: [], enabled: [] }
  expect(refusal(none, {}).hint).toBe('mount -t cgroup2 none /sys/fs/cgroup')
})

test('a size of huge pages that the machine has not is refused with those that it has', () => {
  const layout = { ...hybrid, hugepageSizes: ['1GB', '2MB'] }
  const error = refusal(layout, { hugepageLimits: [{ pageSize: '64KB', limit: 0 }] })
  expect([error.message, error.hint]).toEqual([
    'cannot apply linux.resources.hugepageLimits: this machine has no huge pages of 64KB',
    'it has 1GB and 2MB',
  ])
})

test('a caller without privilege and without limits gets no cgroup where it may make none', () => {
  const foreign = {
    ...unified,
    hierarchies: [{ ...mounted('/sys/fs/cgroup', 2), isDelegated: false, own: '/user/shell' }],
  }
  expect(plan(foreign, {}, { isRootless: true })).toMatchObject({
    create: [],
    open: [],
    join: [],
    remove: [],
    paths: {},
  })
  const error = refusal(foreign, { memory: { limit: 1 << 20 } }, { isRootless: true })
  expect(error.message).toBe(
    "cannot apply linux.resources.memory.limit: the cgroup /user/shell is not this user's to divide",
  )
  expect(error.hint).toContain('Delegate=yes')
})

test('a caller without privilege leaves device rules out', () => {
  const { create } = plan({ ...unified, enabled: unified.available }, {}, { isRootless: true })
  expect(linesOf(create)).not.toContain('bpf')
})

test('files of v2 are written last and line by line', () => {
  const { create } = plan(unified, {
    ...ANY,
    memory: { limit: 1 << 20 },
    unified: { 'memory.high': '65536', 'io.max': '8:0 rbps=1\n8:16 wbps=2\n', 'memory.pressure': 'some 1 2' },
  })
  expect(settingsOf(create).slice(-5)).toEqual([
    'memory.max = 1048576',
    'memory.high = 65536',
    'io.max = 8:0 rbps=1',
    'io.max = 8:16 wbps=2',
    'memory.pressure = some 1 2',
  ])
  expect(linesOf(create)).toContain('write(cgroup.subtree_control, "+io +memory")')
})

test('files of v2 are refused where v2 or its controller is not there', () => {
  const v1 = { ...hybrid, mode: 'v1' as const, hierarchies: [mounted('memory'), mounted('devices')] }
  expect(refusal(v1, { unified: { 'memory.high': '1' } }).message).toContain('it is a setting of cgroup v2')
  expect(refusal(hybrid, { unified: { 'memory.high': '1' } })).toMatchObject({
    message: 'cannot apply linux.resources.unified["memory.high"]: cgroup v2 has no memory controller here',
    hint: 'memory belongs to cgroup v1 at /sys/fs/cgroup/memory',
  })
})
