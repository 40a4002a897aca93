/**
 * The account of a container: what it has used of each resource, and how often it met a limit.
 *
 * Counters run from the making of the cgroup. Times are nanoseconds, whatever the unit of the file.
 */

import type { Integer64 } from '../base/integer.ts'
import type { Pressure } from './pressure.ts'

export interface Stats {
  readonly cpu: CpuStats
  readonly cpuset: CpusetStats
  readonly memory: MemoryStats
  readonly pids: PidsStats
  readonly blkio: BlkioStats
  /** By page size, `2MB`. */
  readonly hugetlb: ReadonlyMap<string, HugetlbStats>
  /** By device. */
  readonly rdma: ReadonlyMap<string, RdmaStats>
  /** By resource. */
  readonly misc: ReadonlyMap<string, Integer64>
}

export interface CpuStats {
  readonly totalNanos: Integer64
  readonly kernelNanos: Integer64
  readonly userNanos: Integer64
  /** Only v1 counts by CPU. */
  readonly percpu: PercpuNanos
  readonly throttling: Throttling
  readonly pressure?: Pressure
}

export interface PercpuNanos {
  readonly total: readonly Integer64[]
  readonly kernel: readonly Integer64[]
  readonly user: readonly Integer64[]
}

/** How the quota worked. kernel:scheduler/sched-bwc.rst "Statistics" */
export interface Throttling {
  readonly periods: Integer64
  readonly throttledPeriods: Integer64
  readonly throttledNanos: Integer64
  readonly burstPeriods: Integer64
  readonly burstNanos: Integer64
}

/** v1 only; flags are 0 or 1. kernel:admin-guide/cgroup-v1/cpusets.rst */
export interface CpusetStats {
  readonly cpus: readonly number[]
  readonly mems: readonly number[]
  readonly cpuExclusive: number
  readonly memHardwall: number
  readonly memExclusive: number
  readonly memoryMigrate: number
  readonly memorySpreadPage: number
  readonly memorySpreadSlab: number
  readonly memoryPressure: number
  readonly schedLoadBalance: number
  readonly schedRelaxDomainLevel: number
}

export interface MemoryStats {
  readonly cacheBytes: Integer64
  readonly memory: MemoryUse
  /** Memory and swap together, on v2 too. */
  readonly swap: MemoryUse
  /** v1 only; on v2 `raw` tells. */
  readonly kernel: MemoryUse
  readonly kernelTcp: MemoryUse
  /** memory.stat as it is: bytes, pages and events. */
  readonly raw: ReadonlyMap<string, Integer64>
  readonly pressure?: Pressure
  /** v2 only. */
  readonly events?: MemoryEvents
}

export interface MemoryUse {
  readonly limitBytes: Integer64
  readonly usageBytes: Integer64
  readonly maxUsageBytes: Integer64
  /** How often the limit was met. */
  readonly failures: Integer64
}

/** kernel:admin-guide/cgroup-v2.rst "memory.events" */
export interface MemoryEvents {
  readonly low: Integer64
  readonly high: Integer64
  readonly max: Integer64
  readonly oom: Integer64
  readonly oomKill: Integer64
  readonly oomGroupKill: Integer64
}

export interface PidsStats {
  readonly current: Integer64
  /** 0 is none. */
  readonly limit: Integer64
}

export interface BlkioStats {
  readonly serviceBytes: readonly BlkioEntry[]
  readonly serviced: readonly BlkioEntry[]
  readonly queued: readonly BlkioEntry[]
  readonly serviceTime: readonly BlkioEntry[]
  readonly waitTime: readonly BlkioEntry[]
  readonly merged: readonly BlkioEntry[]
  readonly time: readonly BlkioEntry[]
  readonly sectors: readonly BlkioEntry[]
  readonly pressure?: Pressure
}

export interface BlkioEntry {
  readonly major: number
  readonly minor: number
  /** `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; empty where the file does not divide by it. */
  readonly op: string
  readonly value: Integer64
}

export interface HugetlbStats {
  readonly usageBytes: Integer64
  readonly maxUsageBytes: Integer64
  readonly failures: Integer64
}

export interface RdmaStats {
  readonly handles: Integer64
  readonly objects: Integer64
}

/** What one hierarchy tells; what it does not know, it leaves out. */
export interface PartialStats {
  readonly cpu?: Partial<CpuStats>
  readonly cpuset?: CpusetStats
  readonly memory?: Partial<MemoryStats>
  readonly pids?: PidsStats
  readonly blkio?: Partial<BlkioStats>
  readonly hugetlb?: Stats['hugetlb']
  readonly rdma?: Stats['rdma']
  readonly misc?: Stats['misc']
}

export const NO_USE: MemoryUse = { limitBytes: 0, usageBytes: 0, maxUsageBytes: 0, failures: 0 }

/** The account of a container that has no cgroup. */
export function noStats(): Stats {
  return {
    cpu: {
      totalNanos: 0,
      kernelNanos: 0,
      userNanos: 0,
      percpu: { total: [], kernel: [], user: [] },
      throttling: { periods: 0, throttledPeriods: 0, throttledNanos: 0, burstPeriods: 0, burstNanos: 0 },
    },
    cpuset: {
      cpus: [],
      mems: [],
      cpuExclusive: 0,
      memHardwall: 0,
      memExclusive: 0,
      memoryMigrate: 0,
      memorySpreadPage: 0,
      memorySpreadSlab: 0,
      memoryPressure: 0,
      schedLoadBalance: 0,
      schedRelaxDomainLevel: 0,
    },
    memory: { cacheBytes: 0, memory: NO_USE, swap: NO_USE, kernel: NO_USE, kernelTcp: NO_USE, raw: new Map() },
    pids: { current: 0, limit: 0 },
    blkio: {
      serviceBytes: [],
      serviced: [],
      queued: [],
      serviceTime: [],
      waitTime: [],
      merged: [],
      time: [],
      sectors: [],
    },
    hugetlb: new Map(),
    rdma: new Map(),
    misc: new Map(),
  }
}
