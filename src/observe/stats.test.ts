/** Captured from one busybox container in each layout, beside what runc printed of it: 1.1.5 on Linux 6.18 (v1, hybrid) and 6.1 (v2). */

import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import { readStats } from './stats.ts'
import { hugePageSize } from './stats-common.ts'
import { oomEvent, statsEvent } from './stats-event.ts'
import { parseBlkio } from './stats-v1.ts'
import { parseIoStat } from './stats-v2.ts'

const unlimited = '9223372036854771712\n'

const v1 = {
  '/cg/cpu/cpu.stat': 'nr_periods 32\nnr_throttled 29\nthrottled_time 1482488635\nnr_bursts 0\nburst_time 0\n',
  '/cg/cpuacct/cpuacct.stat': 'user 148\nsystem 7\n',
  '/cg/cpuacct/cpuacct.usage': '1557161001\n',
  '/cg/cpuacct/cpuacct.usage_all': 'cpu user system\n0 4000000 0\n1 1463895588 72000000\n',
  '/cg/cpuacct/cpuacct.usage_percpu': '16055030 1541105971 \n',
  '/cg/cpuset/cpuset.cpus': '0-1\n',
  '/cg/cpuset/cpuset.mems': '0\n',
  '/cg/cpuset/cpuset.sched_load_balance': '1\n',
  '/cg/cpuset/cpuset.sched_relax_domain_level': '-1\n',
  '/cg/memory/memory.stat': 'rss 1007616\ncache 86016\nhierarchical_memsw_limit 9223372036854771712\ndirty 0\n',
  '/cg/memory/memory.usage_in_bytes': '3006464\n',
  '/cg/memory/memory.max_usage_in_bytes': '67108864\n',
  '/cg/memory/memory.failcnt': '11\n',
  '/cg/memory/memory.limit_in_bytes': '67108864\n',
  '/cg/memory/memory.memsw.usage_in_bytes': '3006464\n',
  '/cg/memory/memory.memsw.max_usage_in_bytes': '67108864\n',
  '/cg/memory/memory.memsw.failcnt': '0\n',
  '/cg/memory/memory.memsw.limit_in_bytes': unlimited,
  '/cg/memory/memory.kmem.tcp.usage_in_bytes': '0\n',
  '/cg/memory/memory.kmem.tcp.max_usage_in_bytes': '0\n',
  '/cg/memory/memory.kmem.tcp.failcnt': '0\n',
  '/cg/memory/memory.kmem.tcp.limit_in_bytes': unlimited,
  '/cg/pids/pids.current': '20\n',
  '/cg/pids/pids.max': 'max\n',
  '/cg/blkio/blkio.bfq.io_serviced_recursive': 'Total 0\n',
  '/cg/blkio/blkio.throttle.io_serviced_recursive': '254:0 Read 17\n254:0 Async 0\nTotal 17\n',
  '/cg/blkio/blkio.throttle.io_service_bytes_recursive': '254:0 Read 8392704\nTotal 8392704\n',
  '/cg/hugetlb/hugetlb.2MB.usage_in_bytes': '4194304\n',
  '/cg/hugetlb/hugetlb.2MB.max_usage_in_bytes': '6291456\n',
  '/cg/hugetlb/hugetlb.2MB.failcnt': '3\n',
  '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': '0\n',
}
const v1Paths = Object.fromEntries(
  ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'blkio', 'hugetlb', 'freezer'].map((name) => [name, `/cg/${name}`]),
)

const v1Line =
  '{"type":"stats","id":"a","data":{"cpu":{"usage":{"total":1557161001,"percpu":[16055030,1541105971],"percpu_kernel":[0,72000000],"percpu_user":[4000000,1463895588],"kernel":70000000,"user":1480000000},"throttling":{"periods":32,"throttledPeriods":29,"throttledTime":1482488635}},"cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":1,"sched_relax_domain_level":-1},"memory":{"cache":86016,"usage":{"limit":67108864,"usage":3006464,"max":67108864,"failcnt":11},"swap":{"limit":9223372036854771712,"usage":3006464,"max":67108864,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":9223372036854771712,"failcnt":0},"raw":{"cache":86016,"dirty":0,"hierarchical_memsw_limit":9223372036854771712,"rss":1007616}},"pids":{"current":20},"blkio":{"ioServiceBytesRecursive":[{"major":254,"op":"Read","value":8392704}],"ioServicedRecursive":[{"major":254,"op":"Read","value":17},{"major":254,"op":"Async"}]},"hugetlb":{"2MB":{"usage":4194304,"max":6291456,"failcnt":3}},"intel_rdt":{},"network_interfaces":null}}'

test('the account of a container in cgroup v1 is the line that runc prints', () => {
  expect(statsEvent('a', readStats(v1Paths, capturedFiles(v1)))).toBe(v1Line)
})

const pressure = (total: number): string =>
  `some avg10=11.17 avg60=2.24 avg300=0.47 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n`

test('in the hybrid layout controllers are v1, and v2 adds the pressure', () => {
  const hybrid = {
    ...v1,
    '/cg/unified/cgroup.controllers': 'hugetlb\n',
    '/cg/unified/cgroup.procs': '1\n2\n3\n',
    '/cg/unified/cpu.stat': 'usage_usec 1557161\nuser_usec 1484353\nsystem_usec 72807\nnice_usec 0\n',
    '/cg/unified/cpu.pressure': pressure(1436252),
  }
  const line = statsEvent('a', readStats({ ...v1Paths, unified: '/cg/unified' }, capturedFiles(hybrid)))
  const psi =
    ',"psi":{"some":{"avg10":11.17,"avg60":2.24,"avg300":0.47,"total":1436252},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}'
  expect(line).toBe(v1Line.replace('"throttledTime":1482488635}', `"throttledTime":1482488635}${psi}`))
})

const v2 = {
  '/cg/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma misc\n',
  '/cg/cpu.stat':
    'usage_usec 6767984\nuser_usec 5462316\nsystem_usec 1305667\nnr_periods 129\nnr_throttled 125\nthrottled_usec 6397758\nnr_bursts 2\nburst_usec 5\n',
  '/cg/memory.stat': 'anon 61440\nfile 8392704\n',
  '/cg/memory.current': '8699904\n',
  '/cg/memory.max': '67108864\n',
  '/cg/memory.peak': '67108864\n',
  '/cg/memory.swap.current': '4096\n',
  '/cg/memory.swap.max': 'max\n',
  '/cg/memory.events': 'low 0\nhigh 0\nmax 24\noom 1\noom_kill 1\noom_group_kill 0\n',
  '/cg/pids.current': '1\n',
  '/cg/pids.max': '20\n',
  '/cg/io.stat': '7:0 rbytes=4196352 wbytes=12582912 rios=6 wios=12 dbytes=0 dios=0\n',
  '/cg/hugetlb.2MB.current': '0\n',
  '/cg/hugetlb.2MB.events': 'max 4\n',
  '/cg/hugetlb.1GB.current': '1073741824\n',
  '/cg/hugetlb.1GB.events': 'max 0\n',
  '/cg/rdma.current': 'mlx4_0 hca_handle=2 hca_object=2000\n',
  '/cg/misc.current': 'sev 3\n',
  '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': '0\n',
  '/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages': '0\n',
}

test('the account of a container in cgroup v2 is told in the words of v1, as runc does', () => {
  expect(statsEvent('a', readStats({ '': '/cg' }, capturedFiles(v2)))).toBe(
    '{"type":"stats","id":"a","data":{"cpu":{"usage":{"total":6767984000,"kernel":1305667000,"user":5462316000},"throttling":{"periods":129,"throttledPeriods":125,"throttledTime":6397758000}},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"memory":{"cache":8392704,"usage":{"limit":67108864,"usage":8699904,"max":67108864,"failcnt":0},"swap":{"limit":18446744073709551615,"usage":8704000,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"raw":{"anon":61440,"file":8392704},"event_count":{"max":24,"oom":1,"oom_kill":1}},"pids":{"current":1,"limit":20},"blkio":{"ioServiceBytesRecursive":[{"major":7,"op":"Read","value":4196352},{"major":7,"op":"Write","value":12582912}],"ioServicedRecursive":[{"major":7,"op":"Read","value":6},{"major":7,"op":"Write","value":12}]},"hugetlb":{"1GB":{"usage":1073741824,"failcnt":0},"2MB":{"failcnt":4}},"intel_rdt":{},"network_interfaces":null}}',
  )
})

test('one directory under the name of each controller is read once', () => {
  const asOne = readStats({ '': '/cg' }, capturedFiles(v2))
  expect(readStats({ memory: '/cg', cpu: '/cg', pids: '/cg' }, capturedFiles(v2))).toEqual(asOne)
})

test('bursts, rdma and misc, which runc does not print, are in the account', () => {
  const stats = readStats({ '': '/cg' }, capturedFiles(v2))
  expect([stats.cpu.throttling.burstPeriods, stats.cpu.throttling.burstNanos]).toEqual([2, 5000])
  expect([...stats.rdma, ...stats.misc]).toEqual([
    ['mlx4_0', { handles: 2, objects: 2000 }],
    ['sev', 3],
  ])
})

test('without the pids controller processes are counted', () => {
  const bare = { '/cg/cgroup.controllers': '\n', '/cg/cgroup.procs': '4\n5\n' }
  expect(readStats({ '': '/cg' }, capturedFiles(bare)).pids).toEqual({ current: 2, limit: 0 })
})

test('a container whose cgroups are gone has used nothing', () => {
  const line = statsEvent('a', readStats(v1Paths, capturedFiles({})))
  expect(JSON.parse(line).data.memory).toEqual({
    usage: { limit: 0, failcnt: 0 },
    swap: { limit: 0, failcnt: 0 },
    kernel: { limit: 0, failcnt: 0 },
    kernelTCP: { limit: 0, failcnt: 0 },
  })
})

test('limits on memory and swap add up to no limit where one of them is none', () => {
  const limited = { ...v2, '/cg/memory.max': 'max\n', '/cg/memory.swap.max': '4096\n' }
  expect(readStats({ '': '/cg' }, capturedFiles(limited)).memory.swap.limitBytes).toBe(18446744073709551615n)
})

test('sums over all devices, and lines of another shape, are no devices', () => {
  expect(parseBlkio('8:0 Read 1\n8:16 5\nTotal 6\n\n')).toEqual([
    { major: 8, minor: 0, op: 'Read', value: 1 },
    { major: 8, minor: 16, op: '', value: 5 },
  ])
  expect(parseIoStat('8:0 \n253:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n').serviced).toEqual([
    { major: 253, minor: 1, op: 'Read', value: 3 },
    { major: 253, minor: 1, op: 'Write', value: 4 },
  ])
})

test('a page size is named as in the files of the controller', () => {
  const sizes = ['hugepages-64kB', 'hugepages-2048kB', 'hugepages-1048576kB', 'other'].map(hugePageSize)
  expect(sizes).toEqual(['64KB', '2MB', '1GB', undefined])
})

test('an OOM event has no data', () => {
  expect(oomEvent('a')).toBe('{"type":"oom","id":"a"}')
})
