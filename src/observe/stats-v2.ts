/**
 * The account of a container as cgroup v2 keeps it: one directory, a few files for each controller. kernel:admin-guide/cgroup-v2.rst
 *
 * Numbers are brought to what v1 means by them, as runc does, so that its clients need not care.
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Integer64 } from '../base/integer.ts'
import {
  type BlkioEntry,
  type BlkioStats,
  type CpuStats,
  type HugetlbStats,
  type MemoryEvents,
  type MemoryStats,
  type MemoryUse,
  NO_USE,
  type PartialStats,
  type PidsStats,
} from './accounting.ts'
import { addCounts, multiplyCount, parseCount, parseCounts, UNLIMITED } from './count.ts'
import type { Pressure } from './pressure.ts'
import { type PressureResource, readPressure } from './pressure.ts'
import { hugePageSizes, readMisc, readRdma } from './stats-common.ts'

/** Reads the controllers that are on in `directory`; CPU time and pressure are there in any case. */
export function readStatsV2(directory: string, files: Files): PartialStats {
  return {
    cpu: cpuStats(directory, files),
    memory: memoryStats(directory, files),
    pids: pidsStats(directory, files),
    blkio: blkioStats(directory, files),
    hugetlb: hugetlbStats(directory, files),
    rdma: readRdma(directory, files),
    misc: readMisc(directory, files),
  }
}

const counts = (path: string, files: Files): ReadonlyMap<string, Integer64> => parseCounts(files.readText(path) ?? '')

function pressure(directory: string, resource: PressureResource, files: Files): { readonly pressure?: Pressure } {
  const found = readPressure(files, directory, resource)
  return found === undefined ? {} : { pressure: found }
}

function cpuStats(directory: string, files: Files): Partial<CpuStats> {
  const stat = counts(`${directory}/cpu.stat`, files)
  const nanos = (key: string): Integer64 => multiplyCount(stat.get(key) ?? 0, 1000)
  return {
    totalNanos: nanos('usage_usec'),
    kernelNanos: nanos('system_usec'),
    userNanos: nanos('user_usec'),
    throttling: {
      periods: stat.get('nr_periods') ?? 0,
      throttledPeriods: stat.get('nr_throttled') ?? 0,
      throttledNanos: nanos('throttled_usec'),
      burstPeriods: stat.get('nr_bursts') ?? 0,
      burstNanos: nanos('burst_usec'),
    },
    ...pressure(directory, 'cpu', files),
  }
}

function memoryStats(directory: string, files: Files): Partial<MemoryStats> {
  const stalls = pressure(directory, 'memory', files)
  const stat = files.readText(`${directory}/memory.stat`)
  if (stat === undefined) return stalls
  const raw = parseCounts(stat)
  const memory = memoryUse(`${directory}/memory`, files)
  return {
    cacheBytes: raw.get('file') ?? 0,
    memory,
    swap: withMemory(memoryUse(`${directory}/memory.swap`, files), memory),
    raw,
    ...stalls,
    ...memoryEvents(directory, files),
  }
}

/** `peak` is there from Linux 5.19 on, and for swap from 6.5; the swap files only with swap accounting. */
function memoryUse(prefix: string, files: Files): MemoryUse {
  const usage = files.readText(`${prefix}.current`)
  if (usage === undefined) return NO_USE
  return {
    limitBytes: parseCount(files.readText(`${prefix}.max`) ?? '0'),
    usageBytes: parseCount(usage),
    maxUsageBytes: parseCount(files.readText(`${prefix}.peak`) ?? '0'),
    failures: 0,
  }
}

/** v1 accounts for memory and swap together. The two peaks need not have come at once, so their sum would say nothing. */
const withMemory = (swap: MemoryUse, memory: MemoryUse): MemoryUse => ({
  limitBytes: addCounts(swap.limitBytes, memory.limitBytes),
  usageBytes: addCounts(swap.usageBytes, memory.usageBytes),
  maxUsageBytes: 0,
  failures: 0,
})

function memoryEvents(directory: string, files: Files): { readonly events?: MemoryEvents } {
  const text = files.readText(`${directory}/memory.events`)
  return text === undefined ? {} : { events: parseMemoryEvents(text) }
}

export function parseMemoryEvents(text: string): MemoryEvents {
  const events = parseCounts(text)
  const number = (key: string): Integer64 => events.get(key) ?? 0
  return {
    low: number('low'),
    high: number('high'),
    max: number('max'),
    oom: number('oom'),
    oomKill: number('oom_kill'),
    oomGroupKill: number('oom_group_kill'),
  }
}

function pidsStats(directory: string, files: Files): PidsStats {
  const current = files.readText(`${directory}/pids.current`)
  if (current === undefined) return { current: countProcesses(directory, files), limit: 0 }
  const limit = parseCount(files.readText(`${directory}/pids.max`) ?? 'max')
  return { current: parseCount(current), limit: limit === UNLIMITED ? 0 : limit }
}

/** Without the controller. The processes of a threaded cgroup belong to the root of its subtree, so its threads are what there is. */
function countProcesses(directory: string, files: Files): number {
  try {
    return countLines(files.readText(`${directory}/cgroup.procs`))
  } catch (error) {
    if (!(error instanceof OperationError && error.code === 'EOPNOTSUPP')) throw error
    return countLines(files.readText(`${directory}/cgroup.threads`))
  }
}

const countLines = (text = ''): number => text.split('\n').length - 1

function blkioStats(directory: string, files: Files): Partial<BlkioStats> {
  return {
    ...parseIoStat(files.readText(`${directory}/io.stat`) ?? ''),
    ...pressure(directory, 'io', files),
  }
}

const IO_KEYS = {
  rbytes: ['serviceBytes', 'Read'],
  wbytes: ['serviceBytes', 'Write'],
  rios: ['serviced', 'Read'],
  wios: ['serviced', 'Write'],
} as const

/** `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0` for each device; discards have no place in v1's tables. */
export function parseIoStat(text: string): Pick<BlkioStats, 'serviceBytes' | 'serviced'> {
  const tables: { serviceBytes: BlkioEntry[]; serviced: BlkioEntry[] } = { serviceBytes: [], serviced: [] }
  for (const line of text.split('\n')) {
    const device = /^(\d+):(\d+) /.exec(line)
    if (device === null) continue
    const [, major, minor] = device
    for (const [, key = '', value = ''] of line.matchAll(/ (rbytes|wbytes|rios|wios)=(\d+)/g)) {
      const [table, op] = IO_KEYS[key as keyof typeof IO_KEYS]
      tables[table].push({ major: Number(major), minor: Number(minor), op, value: parseCount(value) })
    }
  }
  return tables
}

function hugetlbStats(directory: string, files: Files): ReadonlyMap<string, HugetlbStats> {
  const sizes = new Map<string, HugetlbStats>()
  for (const size of hugePageSizes(files)) {
    const usage = files.readText(`${directory}/hugetlb.${size}.current`)
    if (usage === undefined) continue
    const failures = counts(`${directory}/hugetlb.${size}.events`, files).get('max') ?? 0
    sizes.set(size, { usageBytes: parseCount(usage), maxUsageBytes: 0, failures })
  }
  return sizes
}
