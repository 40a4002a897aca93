import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import type { Mount } from '../oci/mounts.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import type { Host } from './host.ts'
import { type MountsPlan, type MountsRequest, planMounts } from './mounts.ts'

const FILES = ['/srv/file', '/proc/kcore']

const kindOf: Host['kindOf'] = (path) => {
  if (path === '/absent') return 'absent'
  return FILES.includes(path) ? 'file' : 'directory'
}
const host = planHost({ kindOf })

interface Change extends Partial<Omit<MountsRequest, 'mounts' | 'namespaces'>> {
  readonly newNamespaces?: readonly NamespaceType[]
}

function plan(mounts: readonly Partial<Mount>[], { newNamespaces, ...change }: Change = {}): MountsPlan {
  const complete = mounts.map(
    (mount): Mount => ({ destination: '/data', options: [], uidMappings: [], gidMappings: [], ...mount }),
  )
  const isNew = (type: NamespaceType): boolean => (newNamespaces ?? ['mount', 'pid', 'network', 'ipc']).includes(type)
  return planMounts(
    {
      mounts: complete,
      bundle: '/bundle',
      namespaces: { isNew, isJoined: () => false },
      hostMounts: 'slave',
      sourcesOpenedBy: 'init',
      idMaps: { uid: [], gid: [] },
      cgroup: { paths: {} },
      pathsToCover: [],
      hostParts: () => [],
      listTree: () => undefined,
      behindLinks: (path) => path,
      ...change,
    },
    host,
  )
}

const lines = (mounts: readonly Partial<Mount>[], change?: Change): string => linesOf(plan(mounts, change).steps)

const PROC = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] }
const DEV = {
  destination: '/dev',
  type: 'tmpfs',
  source: 'tmpfs',
  options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
}
const PTS = { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'mode=0620', 'gid=5'] }
const OPEN = 'O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS'

test('the usual mounts need few calls: what the plan has mounted itself is not looked up again', () => {
  expect(lines([PROC, DEV, PTS], { pathsToCover: ['/proc/kcore'] })).toBe(`mkdirat(root, "proc", 0755) or EEXIST
target = openat2(root, "/proc", ${OPEN}|RESOLVE_NO_SYMLINKS) again while EAGAIN
mount("proc", "self/fd/<target>", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC)
/proc#0 = openat2(target, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN
mkdirat(root, "dev", 0755) or EEXIST
target = openat2(root, "/dev", ${OPEN}|RESOLVE_NO_SYMLINKS) again while EAGAIN
mount("tmpfs", "self/fd/<target>", "tmpfs", MS_NOSUID|MS_STRICTATIME, "mode=755,size=65536k")
/dev#1 = openat2(target, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN
mkdirat(/dev#1, "pts", 0755) or EEXIST
mount("devpts", "self/fd/</dev#1>/pts", "devpts", MS_NOSUID, "mode=0620,gid=5")`)
})

test('an overlay with idmap shows each of its layers with the ids of the container, and is made out of its sight', () => {
  const maps = [{ containerID: 0, hostID: 100_000, size: 10 }]
  const { before, steps } = plan(
    [
      {
        destination: '/',
        type: 'overlay',
        options: ['lowerdir=/top:/with\\:colon', 'upperdir=/up', 'workdir=/work', 'idmap'],
      },
    ],
    { idMaps: { uid: maps, gid: maps } },
  )
  const text = linesOf(before)
  expect(text.slice(text.indexOf('overlay-context'))).toBe(`overlay-context = fsopen("overlay")
overlay-layer = open_tree("/top", OPEN_TREE_CLONE)
mount_setattr(overlay-layer, MOUNT_ATTR_IDMAP, userns=idmap-0)
fsconfig(overlay-context, FSCONFIG_SET_FD, "lowerdir+", overlay-layer)
overlay-layer = open_tree("/with:colon", OPEN_TREE_CLONE)
mount_setattr(overlay-layer, MOUNT_ATTR_IDMAP, userns=idmap-0)
fsconfig(overlay-context, FSCONFIG_SET_FD, "lowerdir+", overlay-layer)
fsconfig(overlay-context, FSCONFIG_SET_STRING, "upperdir", "/up")
fsconfig(overlay-context, FSCONFIG_SET_STRING, "workdir", "/work")
fsconfig(overlay-context, FSCONFIG_CMD_CREATE)
overlay-0 = fsmount(overlay-context)`)
  expect(linesOf(steps)).toBe(
    'move_mount(overlay-0, root)\nroot = openat2(root, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN',
  )
})

test('an overlay that is ephemeral has a layer in memory over all of its lower ones', () => {
  const text = lines([{ destination: '/', type: 'overlay', options: ['lowerdir=/a:/b', 'ephemeral', 'size=4096'] }])
  expect(text).toContain('mount("coffer", "self/fd/<root>", "tmpfs", MS_NOSUID|MS_NODEV, "mode=755,size=4096")')
  expect(text).toContain('"overlay", "lowerdir=/a:/b,upperdir=self/fd/<')
})

test('nothing but the kernel decides which file systems there are', () => {
  expect(lines([{ type: 'somefs', source: '/dev/vdb', options: ['ro', 'x=1', 'lazytime'] }])).toEndWith(
    'mount("/dev/vdb", "self/fd/<target>", "somefs", MS_RDONLY|MS_LAZYTIME, "x=1")',
  )
})

test('a tmpfs gets the mode of the directory that it covers, unless an option names one', () => {
  expect(
    lines([{ destination: '/tmp', type: 'tmpfs' }]),
  ).toEndWith(`tmpfs-mode = statx(target, STATX_BASIC_STATS, &tmpfs-statx)
mount("tmpfs", "self/fd/<target>", "tmpfs")
/tmp#0 = openat2(target, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN
fchmodat(/tmp#0, ".", tmpfs-mode)`)
  expect(lines([{ destination: '/tmp', type: 'tmpfs', options: ['mode=700'] }])).not.toContain('statx')
})

test('a read-only tmpfs becomes so when everything that belongs into it is there', () => {
  const mounts = [
    { destination: '/ro', type: 'tmpfs', options: ['ro', 'mode=755'] },
    { destination: '/ro/file', type: 'bind', source: '/srv/file' },
  ]
  expect(lines(mounts)).not.toContain('RDONLY')
  expect(linesOf(plan(mounts).finish)).toBe('mount_setattr(/ro#0, MOUNT_ATTR_RDONLY)')
})

test('a mount over the root becomes the root that later mounts are resolved in', () => {
  expect(
    lines([{ destination: '/', type: 'overlay', options: ['lowerdir=/a:/b'] }]),
  ).toBe(`mount("overlay", "self/fd/<root>", "overlay", "lowerdir=/a:/b")
root = openat2(root, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN`)
  expect(lines([{ destination: '/', type: 'bind', source: '/srv' }])).toEndWith(
    'move_mount(source, root)\nroot = openat2(root, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN',
  )
})

test('only procfs may be mounted at /proc', () => {
  expect(() => plan([{ destination: '/proc/', type: 'tmpfs' }])).toThrow('mounts[0].type is "tmpfs"')
  const bind = lines([{ destination: '/proc', type: 'bind', source: '/srv' }])
  expect(bind).toContain('fstatfs(source, &bind-statfs) if bind-statfs[0:4] == 0x9fa0 else EPERM')
  expect(bind).toContain('RESOLVE_NO_SYMLINKS')
})

test('below /proc only files that lxcfs shows may be covered', () => {
  for (const destination of ['/proc/self', '/proc/self/attr/exec', '/x/../proc/1/ns', '/proc/stat2']) {
    expect(() => plan([PROC, { destination, type: 'bind', source: '/srv/file' }])).toThrow('inside /proc')
  }
  expect(() => plan([{ destination: '/proc/stat', type: 'tmpfs' }])).toThrow('inside /proc')
  expect(lines([PROC, { destination: '/proc/stat', type: 'bind', source: '/srv/file' }])).toEndWith(
    'move_mount(source, /proc#0, "stat")',
  )
})

test('a source that does not exist is named by its field', () => {
  expect(() => plan([DEV, { type: 'bind', source: '/absent' }])).toThrow(
    'cannot plan the mounts: mounts[1].source is "/absent", which does not exist',
  )
})

test('a relative source begins at the bundle', () => {
  expect(lines([{ type: 'bind', source: 'srv' }])).toContain('open_tree("/bundle/srv"')
})

test('a group of terminals that the user namespace does not have is left out', () => {
  expect(
    lines([DEV, PTS], { newNamespaces: ['user', 'pid'] }),
  ).toEndWith(`mount("devpts", "self/fd/</dev#0>/pts", "devpts", MS_NOSUID, "mode=0620,gid=5")
 or, if EINVAL:
  mount("devpts", "self/fd/</dev#0>/pts", "devpts", MS_NOSUID, "mode=0620")`)
})

test('a user namespace shows the sysfs of the host where the network is that of the host', () => {
  const sysfs = { destination: '/sys', type: 'sysfs', options: ['ro'] }
  expect(lines([sysfs], { newNamespaces: ['user', 'network'] })).not.toContain('open_tree')
  expect(lines([sysfs], { newNamespaces: ['user'] })).toEndWith(` or, if EPERM:
  source = open_tree("/sys", OPEN_TREE_CLONE|AT_RECURSIVE)
  mount_setattr(source, AT_RECURSIVE, MOUNT_ATTR_RDONLY)
  move_mount(source, target)`)
})

test('an SELinux context goes to file systems that the kernel does not label itself', () => {
  const label = 'system_u:object_r:container_file_t:s0:c1,c2'
  expect(lines([{ type: 'tmpfs', options: ['mode=1'] }], { label })).toContain(`"mode=1,context=\\"${label}\\""`)
  expect(lines([PROC], { label })).not.toContain('context')
})

test('a remount changes the file system, with bind only the mount', () => {
  expect(lines([{ type: 'tmpfs', options: ['remount', 'size=4k', 'ro'] }])).toEndWith(
    'mount("tmpfs", "self/fd/<mounted>", "tmpfs", MS_RDONLY|MS_REMOUNT, "size=4k")',
  )
  expect(lines([{ options: ['remount', 'bind', 'ro'] }])).toEndWith('mount_setattr(mounted, MOUNT_ATTR_RDONLY)')
})

test('a mount with nothing but propagation changes what is there', () => {
  expect(
    lines([{ destination: '/data', options: ['rshared'] }]),
  ).toBe(`mounted = openat2(root, "/data", O_PATH, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN
mount_setattr(mounted, AT_RECURSIVE, MS_SHARED)`)
})
