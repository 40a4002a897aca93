/** The account of a container as cgroup v1 keeps it: a directory for each controller. kernel:admin-guide/cgroup-v1/ */

import type { Files } from '../base/files.ts'
import type { Integer64 } from '../base/integer.ts'
import {
  type BlkioEntry,
  type BlkioStats,
  type CpuStats,
  type CpusetStats,
  type HugetlbStats,
  type MemoryStats,
  type MemoryUse,
  NO_USE,
  type PartialStats,
  type PercpuNanos,
  type PidsStats,
} from './accounting.ts'
import { multiplyCount, parseCount, parseCounts, parseRanges, UNLIMITED } from './count.ts'
import { hugePageSizes, readMisc, readRdma } from './stats-common.ts'

/** Reads the controllers among the keys of `paths`; others are passed over. */
export function readStatsV1(paths: Readonly<Record<string, string>>, files: Files): PartialStats {
  const { cpuset, memory, pids, blkio, hugetlb, rdma, misc } = paths
  return {
    cpu: { ...cpuUsage(paths.cpuacct, files), ...throttling(paths.cpu, files) },
    ...(cpuset === undefined ? {} : { cpuset: cpusetStats(cpuset, files) }),
    ...(memory === undefined ? {} : { memory: memoryStats(memory, files) }),
    ...(pids === undefined ? {} : { pids: pidsStats(pids, files) }),
    ...(blkio === undefined ? {} : { blkio: blkioStats(blkio, files) }),
    ...(hugetlb === undefined ? {} : { hugetlb: hugetlbStats(hugetlb, files) }),
    ...(rdma === undefined ? {} : { rdma: readRdma(rdma, files) }),
    ...(misc === undefined ? {} : { misc: readMisc(misc, files) }),
  }
}

const count = (path: string, files: Files): Integer64 => parseCount(files.readText(path) ?? '0')
const counts = (path: string, files: Files): ReadonlyMap<string, Integer64> => parseCounts(files.readText(path) ?? '')

/** cpuacct.stat counts in USER_HZ, a hundredth of a second on every architecture that coffer knows. */
const TICK_NANOS = 10_000_000

function cpuUsage(cpuacct: string | undefined, files: Files): Partial<CpuStats> {
  if (cpuacct === undefined) return {}
  const modes = counts(`${cpuacct}/cpuacct.stat`, files)
  return {
    totalNanos: count(`${cpuacct}/cpuacct.usage`, files),
    kernelNanos: multiplyCount(modes.get('system') ?? 0, TICK_NANOS),
    userNanos: multiplyCount(modes.get('user') ?? 0, TICK_NANOS),
    percpu: percpu(cpuacct, files),
  }
}

/** cpuacct.usage_all: a heading, then `<cpu> <user> <system>` for each CPU that may come to be. */
function percpu(cpuacct: string, files: Files): PercpuNanos {
  const total = (files.readText(`${cpuacct}/cpuacct.usage_percpu`) ?? '')
    .split(' ')
    .filter((word) => word.trim() !== '')
  const [, ...rows] = (files.readText(`${cpuacct}/cpuacct.usage_all`) ?? '').trim().split('\n')
  const columns = rows.map((row) => row.split(' '))
  return {
    total: total.map(parseCount),
    kernel: columns.map(([, , kernel]) => parseCount(kernel ?? '0')),
    user: columns.map(([, user]) => parseCount(user ?? '0')),
  }
}

function throttling(cpu: string | undefined, files: Files): Partial<CpuStats> {
  if (cpu === undefined) return {}
  const stat = counts(`${cpu}/cpu.stat`, files)
  return {
    throttling: {
      periods: stat.get('nr_periods') ?? 0,
      throttledPeriods: stat.get('nr_throttled') ?? 0,
      throttledNanos: stat.get('throttled_time') ?? 0,
      burstPeriods: stat.get('nr_bursts') ?? 0,
      burstNanos: stat.get('burst_time') ?? 0,
    },
  }
}

function cpusetStats(cpuset: string, files: Files): CpusetStats {
  const ranges = (name: string): readonly number[] => parseRanges(files.readText(`${cpuset}/cpuset.${name}`) ?? '')
  const number = (name: string): number => Number(files.readText(`${cpuset}/cpuset.${name}`) ?? '0')
  return {
    cpus: ranges('cpus'),
    mems: ranges('mems'),
    cpuExclusive: number('cpu_exclusive'),
    memHardwall: number('mem_hardwall'),
    memExclusive: number('mem_exclusive'),
    memoryMigrate: number('memory_migrate'),
    memorySpreadPage: number('memory_spread_page'),
    memorySpreadSlab: number('memory_spread_slab'),
    memoryPressure: number('memory_pressure'),
    schedLoadBalance: number('sched_load_balance'),
    schedRelaxDomainLevel: number('sched_relax_domain_level'),
  }
}

function memoryStats(memory: string, files: Files): Partial<MemoryStats> {
  const raw = counts(`${memory}/memory.stat`, files)
  return {
    cacheBytes: raw.get('cache') ?? 0,
    memory: memoryUse(`${memory}/memory`, files),
    swap: memoryUse(`${memory}/memory.memsw`, files),
    kernel: memoryUse(`${memory}/memory.kmem`, files),
    kernelTcp: memoryUse(`${memory}/memory.kmem.tcp`, files),
    raw,
  }
}

/** Kernels differ in which of the four kinds they have: swap and kernel memory are optional. */
function memoryUse(prefix: string, files: Files): MemoryUse {
  const usage = files.readText(`${prefix}.usage_in_bytes`)
  if (usage === undefined) return NO_USE
  return {
    limitBytes: count(`${prefix}.limit_in_bytes`, files),
    usageBytes: parseCount(usage),
    maxUsageBytes: count(`${prefix}.max_usage_in_bytes`, files),
    failures: count(`${prefix}.failcnt`, files),
  }
}

function pidsStats(pids: string, files: Files): PidsStats {
  const limit = count(`${pids}/pids.max`, files)
  return { current: count(`${pids}/pids.current`, files), limit: limit === UNLIMITED ? 0 : limit }
}

type BlkioTable = Exclude<keyof BlkioStats, 'pressure'>

const DETAILED: readonly (readonly [string, BlkioTable])[] = [
  ['sectors', 'sectors'],
  ['io_service_time', 'serviceTime'],
  ['io_wait_time', 'waitTime'],
  ['io_merged', 'merged'],
  ['io_queued', 'queued'],
  ['time', 'time'],
  ['io_serviced', 'serviced'],
  ['io_service_bytes', 'serviceBytes'],
]
const BASIC = DETAILED.slice(-2)

/**
 * Which files count depends on the I/O scheduler of the devices: the first group that has something tells.
 *
 * BFQ with its debug files, BFQ, CFQ (until Linux 5.0), and the throttling layer, which sees every device.
 */
function blkioStats(blkio: string, files: Files): Partial<BlkioStats> {
  const groups = [
    { files: DETAILED, prefix: 'blkio.bfq', suffix: '_recursive' },
    { files: BASIC, prefix: 'blkio.bfq', suffix: '_recursive' },
    { files: DETAILED, prefix: 'blkio', suffix: '_recursive' },
    { files: BASIC, prefix: 'blkio.throttle', suffix: '_recursive' },
    { files: BASIC, prefix: 'blkio.throttle', suffix: '' },
  ]
  for (const { files: names, prefix, suffix } of groups) {
    const tables: { -readonly [Table in BlkioTable]?: readonly BlkioEntry[] } = {}
    for (const [name, table] of names) {
      const entries = parseBlkio(files.readText(`${blkio}/${prefix}.${name}${suffix}`) ?? '')
      if (entries.length === 0) break
      tables[table] = entries
    }
    if (Object.keys(tables).length > 0) return tables
  }
  return {}
}

/** `8:0 Read 4096`, or `8:0 4096` in files that do not divide; the sum over all devices, `Total 4096`, is left out. */
export function parseBlkio(text: string): readonly BlkioEntry[] {
  const entries: BlkioEntry[] = []
  for (const line of text.split('\n')) {
    const found = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line)
    if (found === null) continue
    const [, major, minor, op = '', value = '0'] = found
    entries.push({ major: Number(major), minor: Number(minor), op, value: parseCount(value) })
  }
  return entries
}

function hugetlbStats(hugetlb: string, files: Files): ReadonlyMap<string, HugetlbStats> {
  return new Map(
    hugePageSizes(files).map((size) => {
      const number = (name: string): Integer64 => count(`${hugetlb}/hugetlb.${size}.${name}`, files)
      return [
        size,
        {
          usageBytes: number('usage_in_bytes'),
          maxUsageBytes: number('max_usage_in_bytes'),
          failures: number('failcnt'),
        },
      ]
    }),
  )
}
