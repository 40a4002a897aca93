/** Machines that documents are planned for: each layout of cgroups, with and without root. */

import type { CgroupLayout, Hierarchy } from '../../src/linux/cgroup.ts'
import type { Host } from '../../src/plan/host.ts'
import { planHost } from '../plan-host.ts'

const mounted = (name: string, version: 1 | 2): Hierarchy => ({
  version,
  controllers: version === 1 ? [name] : [],
  mountPoint: version === 1 ? `/sys/fs/cgroup/${name}` : name,
  own: '/',
  readonly: false,
  isDelegated: true,
})

const nothing = { unmounted: [], available: [], enabled: [], hugepageSizes: ['2MB'] }
const v1: readonly Hierarchy[] = 'cpu cpuset memory devices freezer blkio pids hugetlb net_cls net_prio rdma'
  .split(' ')
  .map((name) => mounted(name, 1))

const LAYOUTS: readonly CgroupLayout[] = [
  { ...nothing, mode: 'v1', hierarchies: v1 },
  { ...nothing, mode: 'hybrid', hierarchies: [...v1.slice(0, 7), mounted('/sys/fs/cgroup/unified', 2)] },
  {
    ...nothing,
    mode: 'v2',
    hierarchies: [mounted('/sys/fs/cgroup', 2)],
    available: ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb', 'rdma'],
    enabled: ['memory', 'pids'],
  },
  { ...nothing, mode: 'none', hierarchies: [] },
]

const rootless = { isRootless: true, hostUid: 1000, hostGid: 1000, canMapIds: false, canRaiseLimits: false }

export const HOSTS: readonly Host[] = LAYOUTS.flatMap((cgroup) => [
  planHost({ cgroup, kindOf: () => 'directory' }),
  planHost({ cgroup, kindOf: () => 'directory', ...rootless }),
])
