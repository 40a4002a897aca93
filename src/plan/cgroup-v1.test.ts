import { expect, test } from 'bun:test'
import { linesOf, settingsOf } from '../../test/plan-lines.ts'
import { AT_FDCWD } from '../linux/files.ts'
import { parseResources } from '../oci/resources.ts'
import { requestsOf } from './cgroup-limits.ts'
import { limitsOfV1 } from './cgroup-v1.ts'
import type { Step } from './plan.ts'

const steps = (resources: object): readonly Step[] =>
  requestsOf(parseResources(resources, 'test')).flatMap(({ plan }) => plan(limitsOfV1, { at: AT_FDCWD, path: '/c' }))
const settings = (resources: object): readonly string[] => settingsOf(steps(resources))

test('a file is opened once and set by one write', () => {
  expect(linesOf(steps({ pids: { limit: 20 } }))).toBe(
    'pids.max = openat("/c/pids.max", O_WRONLY)\nwrite(pids.max, "20")',
  )
})

test('no limit of tasks is max, and 0 is a limit', () => {
  expect(settings({ pids: { limit: -1 } })).toEqual(['pids.max = max'])
  expect(settings({ pids: { limit: 0 } })).toEqual(['pids.max = 0'])
})

test('what is absent, 0 or empty is not set', () => {
  const nothing = {
    cpu: { shares: 0, quota: 0, cpus: '' },
    memory: { limit: 0, disableOOMKiller: false, useHierarchy: true },
  }
  expect(steps({ ...nothing, blockIO: { weight: 0 }, network: {}, pids: {} })).toEqual([])
})

test('memory is limited before memory and swap, and behind it where the old limits are in the way', () => {
  expect(
    linesOf(steps({ memory: { limit: 1000, swap: 2000 } })),
  ).toBe(`memory.limit_in_bytes = openat("/c/memory.limit_in_bytes", O_WRONLY)
memory.memsw.limit_in_bytes = openat("/c/memory.memsw.limit_in_bytes", O_WRONLY)
write(memory.limit_in_bytes, "1000")
 then:
  write(memory.memsw.limit_in_bytes, "2000")
 or, if EINVAL:
  write(memory.memsw.limit_in_bytes, "2000")
  write(memory.limit_in_bytes, "1000")`)
})

test('lifting the limit of memory lifts that of swap first, if the kernel counts swap', () => {
  const lines = linesOf(steps({ memory: { limit: -1 } }))
  expect(lines).toBe(`memory.memsw.limit_in_bytes = openat("/c/memory.memsw.limit_in_bytes", O_WRONLY) or ENOENT
 then:
  write(memory.memsw.limit_in_bytes, "-1")
memory.limit_in_bytes = openat("/c/memory.limit_in_bytes", O_WRONLY)
write(memory.limit_in_bytes, "-1")`)
})

test('limits beyond 2^53 keep their last digit', () => {
  expect(settings({ memory: { limit: 9223372036854775807n } })).toEqual(['memory.limit_in_bytes = 9223372036854775807'])
})

test('memory and swap below memory alone is refused', () => {
  expect(() => steps({ memory: { limit: 2000, swap: 1000 } })).toThrow(
    'cannot apply linux.resources.memory.swap: memory and swap together (1000) cannot be less than memory alone (2000)',
  )
})

test('all other fields of memory have a file', () => {
  const memory = { reservation: 500, kernelTCP: 600, swappiness: 0, disableOOMKiller: true }
  expect(settings({ memory })).toEqual([
    'memory.soft_limit_in_bytes = 500',
    'memory.kmem.tcp.limit_in_bytes = 600',
    'memory.swappiness = 0',
    'memory.oom_control = 1',
  ])
})

test('memory that is not counted for those above is refused', () => {
  expect(() => steps({ memory: { useHierarchy: false } })).toThrow('linux.resources.memory.useHierarchy')
})

test('period and quota are set in the order that the kernel takes', () => {
  const lines = linesOf(steps({ cpu: { quota: 5000, period: 10000 } })).split('\n')
  expect(lines.slice(2)).toEqual([
    'write(cpu.cfs_period_us, "10000")',
    ' then:',
    '  write(cpu.cfs_quota_us, "5000")',
    ' or, if EINVAL:',
    '  write(cpu.cfs_quota_us, "5000")',
    '  write(cpu.cfs_period_us, "10000")',
  ])
  expect(settings({ cpu: { quota: -7 } })).toEqual(['cpu.cfs_quota_us = -1'])
})

test('a burst goes before the quota and again behind it', () => {
  expect(settings({ cpu: { quota: 5000, burst: 100 } })).toEqual([
    'cpu.cfs_burst_us = 100',
    'cpu.cfs_quota_us = 5000',
    'cpu.cfs_burst_us = 100',
  ])
})

test('an idle group gets its shares before it becomes idle, another one behind', () => {
  expect(settings({ cpu: { shares: 512, idle: 1 } })).toEqual(['cpu.shares = 512', 'cpu.idle = 1'])
  expect(settings({ cpu: { shares: 512, idle: 0 } })).toEqual(['cpu.idle = 0', 'cpu.shares = 512'])
})

test('shares that the kernel would change without a word are refused', () => {
  expect(() => steps({ cpu: { shares: 1 } })).toThrow('1 shares are not within 2 to 262144')
  expect(() => steps({ cpu: { shares: 262145 } })).toThrow('262145 shares')
})

test('real-time bandwidth and cpuset have their files', () => {
  const cpu = { realtimePeriod: 1000000, realtimeRuntime: 5000, cpus: '0-3', mems: '0' }
  expect(settings({ cpu })).toEqual([
    'cpuset.cpus = 0-3',
    'cpuset.mems = 0',
    'cpu.rt_period_us = 1000000',
    'cpu.rt_runtime_us = 5000',
  ])
})

test('disk traffic is weighed and throttled for each device', () => {
  const blockIO = {
    weight: 300,
    weightDevice: [{ major: 8, minor: 0, weight: 500 }],
    throttleReadBpsDevice: [
      { major: 8, minor: 0, rate: 1000 },
      { major: 8, minor: 16, rate: 0 },
    ],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 18446744073709551615n }],
  }
  expect(settings({ blockIO })).toEqual([
    'blkio.bfq.weight = 300',
    'blkio.bfq.weight_device = 8:0 500',
    'blkio.throttle.read_bps_device = 8:0 1000',
    'blkio.throttle.read_bps_device = 8:16 0',
    'blkio.throttle.write_iops_device = 8:0 18446744073709551615',
  ])
})

test('leaf weights are refused, as no scheduler has them any more', () => {
  expect(() => steps({ blockIO: { leafWeight: 10 } })).toThrow('linux.resources.blockIO.leafWeight')
  const weightDevice = [{ major: 8, minor: 0, leafWeight: 10 }]
  expect(() => steps({ blockIO: { weightDevice } })).toThrow('linux.resources.blockIO.leafWeight')
})

test('huge pages are limited in use and in reservation', () => {
  expect(settings({ hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }] })).toEqual([
    'hugetlb.2MB.limit_in_bytes = 4194304',
    'hugetlb.2MB.rsvd.limit_in_bytes = 4194304',
  ])
})

test('RDMA devices and the network have a line each', () => {
  const rdma = { mlx5_0: { hcaHandles: 3, hcaObjects: 100 }, mlx5_1: { hcaObjects: 7 } }
  const network = { classID: 1048577, priorities: [{ name: 'eth0', priority: 5 }] }
  expect(settings({ rdma, network })).toEqual([
    'rdma.max = mlx5_0 hca_handle=3 hca_object=100',
    'rdma.max = mlx5_1 hca_object=7',
    'net_cls.classid = 1048577',
    'net_prio.ifpriomap = eth0 5',
  ])
})
