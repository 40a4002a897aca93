import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import type { CgroupLayout, Hierarchy } from '../linux/cgroup.ts'
import { planMounts } from './mounts.ts'

const hierarchy = (version: 1 | 2, name: string, controllers: readonly string[]): Hierarchy => ({
  version,
  controllers,
  mountPoint: `/sys/fs/cgroup/${name}`,
  own: '/',
  readonly: false,
  isDelegated: true,
})
const UNIFIED = hierarchy(2, 'unified', [])
const HYBRID = [
  hierarchy(1, 'cpu,cpuacct', ['cpu', 'cpuacct']),
  hierarchy(1, 'systemd', ['name=systemd']),
  hierarchy(1, 'net_cls', ['net_cls']),
  UNIFIED,
]
const PATHS = { cpu: '/c/cpu', cpuacct: '/c/cpu', 'name=systemd': '/c/systemd', '': '/c/unified' }

interface Setting {
  readonly mode: CgroupLayout['mode']
  readonly hierarchies: readonly Hierarchy[]
  readonly hasNamespace: boolean
  readonly paths?: Readonly<Record<string, string>>
  readonly options?: readonly string[]
}

function lines({ mode, hierarchies, hasNamespace, paths = PATHS, options = ['ro', 'nosuid'] }: Setting): string {
  const isNew = (type: string): boolean => hasNamespace && type === 'cgroup'
  const mount = { destination: '/cgroup', type: 'cgroup', options, uidMappings: [], gidMappings: [] }
  const plan = planMounts(
    {
      mounts: [mount],
      bundle: '/bundle',
      namespaces: { isNew, isJoined: () => false },
      hostMounts: 'slave',
      sourcesOpenedBy: 'init',
      idMaps: { uid: [], gid: [] },
      cgroup: { paths },
      pathsToCover: [],
      hostParts: () => [],
      listTree: () => undefined,
      behindLinks: (path) => path,
    },
    planHost({ cgroup: { mode, hierarchies, unmounted: [], available: [], enabled: [] } }),
  )
  return linesOf(plan.steps.slice(3))
}

test('on v2 a cgroup namespace shows its own root, or else the cgroup itself is shown', () => {
  expect(
    lines({ mode: 'v2', hierarchies: [UNIFIED], hasNamespace: true }),
  ).toBe(`mount("cgroup", "self/fd/<target>", "cgroup2", MS_RDONLY|MS_NOSUID)
 or, if EPERM or EBUSY:
  source = open_tree("/c/unified", OPEN_TREE_CLONE)
  mount_setattr(source, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID)
  move_mount(source, target)`)
  expect(lines({ mode: 'v2', hierarchies: [UNIFIED], hasNamespace: false })).toStartWith(
    'source = open_tree("/c/unified"',
  )
})

test('on v2 a container without a cgroup of its own sees that of its namespace, or none', () => {
  const nothing = 'mount("cgroup", "self/fd/<target>", "tmpfs", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, "mode=755")'
  expect(
    lines({ mode: 'v2', hierarchies: [UNIFIED], hasNamespace: true, paths: {} }),
  ).toBe(`mount("cgroup", "self/fd/<target>", "cgroup2", MS_RDONLY|MS_NOSUID)
 or, if EPERM or EBUSY:
  ${nothing}`)
  expect(lines({ mode: 'v2', hierarchies: [UNIFIED], hasNamespace: false, paths: {} })).toBe(nothing)
})

test('on v1 each hierarchy in which the container has a cgroup gets a directory, and co-mounted controllers links', () => {
  expect(
    lines({ mode: 'hybrid', hierarchies: HYBRID, hasNamespace: true }),
  ).toBe(`mount("cgroup", "self/fd/<target>", "tmpfs", MS_NOSUID|MS_NODEV|MS_NOEXEC, "mode=755")
cgroup-root = openat2(target, "..", O_PATH, RESOLVE_IN_ROOT) again while EAGAIN
mkdirat(cgroup-root, "cpu,cpuacct", 0755)
mount("cgroup", "self/fd/<cgroup-root>/cpu,cpuacct", "cgroup", MS_RDONLY|MS_NOSUID, "cpu,cpuacct")
symlinkat("cpu,cpuacct", cgroup-root, "cpu") or EEXIST
symlinkat("cpu,cpuacct", cgroup-root, "cpuacct") or EEXIST
mkdirat(cgroup-root, "systemd", 0755)
mount("cgroup", "self/fd/<cgroup-root>/systemd", "cgroup", MS_RDONLY|MS_NOSUID, "name=systemd")
mkdirat(cgroup-root, "unified", 0755)
mount("cgroup", "self/fd/<cgroup-root>/unified", "cgroup2", MS_RDONLY|MS_NOSUID)
mount_setattr(cgroup-root, MOUNT_ATTR_RDONLY)`)
})

test('without a cgroup namespace only the own cgroups are shown, and all get their attributes at once', () => {
  const text = lines({ mode: 'v1', hierarchies: HYBRID, hasNamespace: false })
  expect(text).toContain(`mkdirat(cgroup-root, "systemd", 0755)
mount("/c/systemd", "self/fd/<cgroup-root>/systemd", MS_BIND)
mkdirat`)
  expect(text).toEndWith('mount_setattr(cgroup-root, AT_RECURSIVE, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID)')
  expect(text).not.toContain('net_cls')
})

test('a host without cgroups leaves an empty directory', () => {
  expect(lines({ mode: 'none', hierarchies: [], hasNamespace: true, paths: {}, options: [] })).not.toContain('mkdirat')
})
