import { expect, test } from 'bun:test'
import { linesOf, settingsOf } from '../../test/plan-lines.ts'
import { AT_FDCWD } from '../linux/files.ts'
import { parseResources } from '../oci/resources.ts'
import { requestsOf } from './cgroup-limits.ts'
import { ioWeightOf, limitsOfV2, weightOfShares } from './cgroup-v2.ts'
import type { Step } from './plan.ts'

const steps = (resources: object): readonly Step[] =>
  requestsOf(parseResources(resources, 'test')).flatMap(({ plan }) => plan(limitsOfV2, { at: AT_FDCWD, path: '/c' }))
const settings = (resources: object): readonly string[] => settingsOf(steps(resources))

test('shares become weights as in runc 1.3.2 and crun 1.23', () => {
  const shares = [0, 1, 2, 3, 256, 1024, 2000, 2048, 102400, 262144, 18446744073709551615n]
  expect(shares.map(weightOfShares)).toEqual([1, 1, 1, 2, 35, 100, 170, 174, 4429, 10000, 10000])
})

test('weights of v1 are spread over the wider range of v2', () => {
  expect([10, 100, 500, 1000].map(ioWeightOf)).toEqual([1, 910, 4950, 10000])
})

test('quota and period are one setting, and what is not given stays', () => {
  expect(settings({ cpu: { quota: 5000, period: 10000 } })).toEqual(['cpu.max = 5000 10000'])
  expect(settings({ cpu: { quota: 5000 } })).toEqual(['cpu.max = 5000'])
  expect(settings({ cpu: { quota: -1, period: 10000 } })).toEqual(['cpu.max = max 10000'])
  expect(settings({ cpu: { period: 10000 } })).toEqual(['cpu.max = max 10000'])
})

test('a burst goes before the quota and again behind it', () => {
  expect(settings({ cpu: { quota: 5000, burst: 100 } })).toEqual([
    'cpu.max.burst = 100',
    'cpu.max = 5000',
    'cpu.max.burst = 100',
  ])
})

test('swap is what memory and swap have beyond memory', () => {
  expect(settings({ memory: { limit: 1000, swap: 3000 } })).toEqual(['memory.swap.max = 2000', 'memory.max = 1000'])
  expect(settings({ memory: { limit: 1000, swap: 1000 } })).toEqual(['memory.swap.max = 0', 'memory.max = 1000'])
  expect(settings({ memory: { limit: 1000, swap: -1 } })).toEqual(['memory.swap.max = max', 'memory.max = 1000'])
  expect(settings({ memory: { limit: -1 } })).toEqual(['memory.swap.max = max', 'memory.max = max'])
  expect(settings({ memory: { limit: -1, swap: 500 } })).toEqual(['memory.swap.max = 500', 'memory.max = max'])
  expect(settings({ memory: { limit: 1000 } })).toEqual(['memory.max = 1000'])
  const large = { limit: 9007199254740993n, swap: 9223372036854775807n }
  expect(settings({ memory: large })[0]).toBe('memory.swap.max = 9214364837600034814')
})

test('a kernel that counts no swap has no limit of it to lift', () => {
  expect(linesOf(steps({ memory: { limit: 1000, swap: 1000 } }))).toStartWith(
    'memory.swap.max = openat("/c/memory.swap.max", O_WRONLY) or ENOENT\n then:\n  write(memory.swap.max, "0")',
  )
  expect(linesOf(steps({ memory: { limit: 1000, swap: 2000 } }))).not.toContain('ENOENT')
})

test('swap without a limit of memory is refused, as their difference is not known', () => {
  expect(() => steps({ memory: { swap: 1000 } })).toThrow('cannot apply linux.resources.memory.swap')
})

test('a reservation is memory.low', () => {
  expect(settings({ memory: { reservation: 500 } })).toEqual(['memory.low = 500'])
  expect(settings({ memory: { reservation: -1 } })).toEqual(['memory.low = max'])
})

test('what only v1 has is refused by name', () => {
  const only: readonly [string, object][] = [
    ['memory.kernelTCP', { memory: { kernelTCP: 5 } }],
    ['memory.swappiness', { memory: { swappiness: 0 } }],
    ['memory.disableOOMKiller', { memory: { disableOOMKiller: true } }],
    ['memory.useHierarchy', { memory: { useHierarchy: false } }],
    ['cpu.realtimePeriod', { cpu: { realtimePeriod: 5 } }],
    ['cpu.realtimeRuntime', { cpu: { realtimeRuntime: 5 } }],
    ['blockIO.leafWeight', { blockIO: { leafWeight: 10 } }],
    ['network.classID', { network: { classID: 1 } }],
    ['network.priorities', { network: { priorities: [{ name: 'lo', priority: 1 }] } }],
  ]
  for (const [field, resources] of only) {
    expect(() => steps(resources)).toThrow(`cannot apply linux.resources.${field}:`)
  }
})

test('kernel memory is ignored, as kernels and runtimes do', () => {
  expect(steps({ memory: { kernel: 1 << 20 } })).toEqual([])
})

test('a container that may have no task still has its first', () => {
  expect(settings({ pids: { limit: 0 } })).toEqual(['pids.max = 1'])
  expect(settings({ pids: { limit: -1 } })).toEqual(['pids.max = max'])
})

test('disk limits of all kinds go into one file', () => {
  const device = { major: 8, minor: 0 }
  const blockIO = {
    throttleReadBpsDevice: [{ ...device, rate: 1000 }],
    throttleWriteBpsDevice: [{ ...device, rate: 0 }],
    throttleReadIOPSDevice: [{ ...device, rate: 10 }],
    throttleWriteIOPSDevice: [{ ...device, rate: 20 }],
  }
  expect(settings({ blockIO })).toEqual([
    'io.max = 8:0 rbps=1000',
    'io.max = 8:0 wbps=max',
    'io.max = 8:0 riops=10',
    'io.max = 8:0 wiops=20',
  ])
  expect(linesOf(steps({ blockIO })).match(/openat/g)).toHaveLength(1)
})

test('weights go to BFQ, or converted to the I/O cost model', () => {
  const blockIO = { weight: 100, weightDevice: [{ major: 8, minor: 0, weight: 1000 }] }
  expect(linesOf(steps({ blockIO }))).toBe(`io.bfq.weight = openat("/c/io.bfq.weight", O_WRONLY)
 then:
  write(io.bfq.weight, "default 100")
  write(io.bfq.weight, "8:0 1000")
 or, if ENOENT:
  io.weight = openat("/c/io.weight", O_WRONLY)
  write(io.weight, "default 910")
  write(io.weight, "8:0 10000")`)
})

test('cpuset, idle and huge pages have their files', () => {
  const cpu = { cpus: '0', mems: '0-1', shares: 1024, idle: 0 }
  expect(settings({ cpu, hugepageLimits: [{ pageSize: '1GB', limit: 0 }] })).toEqual([
    'cpuset.cpus = 0',
    'cpuset.mems = 0-1',
    'cpu.idle = 0',
    'cpu.weight = 100',
    'hugetlb.1GB.max = 0',
    'hugetlb.1GB.rsvd.max = 0',
  ])
})
