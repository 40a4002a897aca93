import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import { listCgroupsBelow, readCgroupLayout } from './cgroup.ts'

const CGROUPS = `#subsys_name	hierarchy	num_cgroups	enabled
cpuset	3	1	1
cpu	1	1	1
cpuacct	1	1	1
blkio	0	1	1
memory	4	13	1
net_cls	0	1	1
hugetlb	0	1	1
rdma	0	1	0
`

const hybrid = {
  '/proc/self/mountinfo': `23 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
`,
  '/proc/self/cgroup': '5:name=systemd:/\n4:memory:/jobs/a\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/s/one\n',
  '/proc/cgroups': CGROUPS,
  '/sys/fs/cgroup/unified/cgroup.controllers': 'hugetlb\n',
  '/sys/fs/cgroup/unified/cgroup.subtree_control': '\n',
}

const v2 = (cgroup: string, mountinfo: string, more: Readonly<Record<string, string>> = {}) =>
  capturedFiles({ '/proc/self/cgroup': `0::${cgroup}\n`, '/proc/self/mountinfo': mountinfo, ...more })

test('beside v1 controllers v2 makes a hybrid layout', () => {
  const { mode, hierarchies } = readCgroupLayout(capturedFiles(hybrid))
  expect(mode).toBe('hybrid')
  expect(hierarchies.map(({ version, controllers, own }) => `${version} ${controllers.join()} ${own}`)).toEqual([
    '1 cpu,cpuacct /',
    '1 cpuset /',
    '1 memory /jobs/a',
    '1 name=systemd /',
    '2  /s/one',
  ])
})

test('controllers that no mount shows are told, those that are switched off are not', () => {
  expect(readCgroupLayout(capturedFiles(hybrid)).unmounted).toEqual([['blkio'], ['net_cls'], ['hugetlb']])
})

test('what v2 hands on already is not for a private mount', () => {
  const files = { ...hybrid, '/sys/fs/cgroup/unified/cgroup.subtree_control': 'io hugetlb\n' }
  const { enabled, unmounted } = readCgroupLayout(capturedFiles(files))
  expect(enabled).toEqual(['io', 'hugetlb'])
  expect(unmounted).toEqual([['net_cls']])
})

test('controllers of one hidden hierarchy stay together', () => {
  const files = {
    ...hybrid,
    '/proc/self/cgroup': `9:net_cls,net_prio:/\n${hybrid['/proc/self/cgroup']}`,
    '/proc/cgroups': 'net_cls	9	2	1\nnet_prio	9	2	1\n',
  }
  expect(readCgroupLayout(capturedFiles(files)).unmounted).toEqual([['net_cls', 'net_prio']])
})

test('a v2 host has its controllers from the mounted cgroup', () => {
  const layout = readCgroupLayout(
    v2('/user.slice/shell', '30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n', {
      '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
      '/sys/fs/cgroup/cgroup.subtree_control': 'cpu memory pids\n',
      '/proc/cgroups': CGROUPS,
    }),
  )
  expect(layout.mode).toBe('v2')
  expect(layout.available).toEqual(['cpuset', 'cpu', 'io', 'memory', 'pids'])
  expect(layout.enabled).toEqual(['cpu', 'memory', 'pids'])
  expect(layout.unmounted).toEqual([['cpuacct'], ['net_cls'], ['hugetlb']])
})

test('in a container without a cgroup namespace, its own cgroup is the root of the mount', () => {
  const mountinfo = '30 24 0:26 /docker/0a1b /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n'
  const files = capturedFiles({ '/proc/self/mountinfo': mountinfo, '/proc/self/cgroup': '4:memory:/docker/0a1b\n' })
  expect(readCgroupLayout(files).hierarchies[0]).toMatchObject({ own: '/', readonly: true })
})

test('a cgroup outside of what is mounted is out of sight', () => {
  const mounted = (root: string) => `30 24 0:26 ${root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n`
  const own = (cgroup: string, root: string) => readCgroupLayout(v2(cgroup, mounted(root))).hierarchies[0]?.own
  expect(own('/', '/../..')).toBeUndefined()
  expect(own('/../other', '/')).toBeUndefined()
  expect(own('/docker/0a1b', '/docker/0a')).toBeUndefined()
  expect(own('/docker/0a/x', '/docker/0a')).toBe('/x')
})

test('names with spaces are taken out of their escapes', () => {
  const files = v2('/', '30 24 0:26 / /mnt/my\\040cgroups rw - cgroup2 cgroup2 rw\n')
  expect(readCgroupLayout(files).hierarchies[0]?.mountPoint).toBe('/mnt/my cgroups')
})

test('of several mounts of a hierarchy the one below /sys/fs/cgroup counts, and of those at one place the last', () => {
  const mountinfo = `30 24 0:26 / /srv/chroot/cgroup rw - cgroup2 cgroup2 rw
31 24 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw
32 31 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
`
  const { hierarchies } = readCgroupLayout(v2('/', mountinfo))
  expect(hierarchies.map(({ mountPoint, readonly }) => [mountPoint, readonly])).toEqual([['/sys/fs/cgroup', false]])
})

test('a machine without cgroup mounts has none', () => {
  expect(readCgroupLayout(v2('/', ''))).toMatchObject({ mode: 'none', hierarchies: [] })
})

test('a caller without privilege may divide what it owns: its own cgroup in v1, the parent of it in v2', () => {
  const files = {
    ...capturedFiles(hybrid),
    status: (path: string) => ({
      kind: 'file' as const,
      mode: 0o644,
      uid:
        path === '/sys/fs/cgroup/unified/s/cgroup.procs' || path === '/sys/fs/cgroup/memory/jobs/a/cgroup.procs'
          ? 1000
          : 0,
      gid: 0,
      sizeBytes: 0,
      device: { major: 0, minor: 0 },
      links: 3,
      identity: '0:1:1',
    }),
  }
  const { hierarchies } = readCgroupLayout(files, { unprivilegedUid: 1000 })
  expect(hierarchies.filter(({ isDelegated }) => isDelegated).map(({ mountPoint }) => mountPoint)).toEqual([
    '/sys/fs/cgroup/memory',
    '/sys/fs/cgroup/unified',
  ])
})

test('sizes of huge pages are named as the kernel names its files', () => {
  const sizes = capturedFiles({
    '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': '0\n',
    '/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages': '0\n',
    '/sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages': '0\n',
  })
  expect(readCgroupLayout(sizes, { hugepages: true }).hugepageSizes).toEqual(['1GB', '2MB', '64KB'])
})

test('cgroups below one are listed with the deepest first', () => {
  const files = capturedFiles({ '/c/tasks': '', '/c/a/tasks': '', '/c/a/b.scope/tasks': '', '/c/d/tasks': '' })
  expect(listCgroupsBelow(files, '/c')).toEqual(['/c/a/b.scope', '/c/a', '/c/d'])
})
