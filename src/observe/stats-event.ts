/**
 * The account of a container as `runc events` prints it: one line of JSON.
 *
 * Keys, units and what is left out are those of runc 1.1 (types/events.go: `omitempty` leaves out 0 and empty lists). `psi` and `event_count`,
 * which it has since 1.2, stand there where the kernel tells them.
 */

import type { Integer64 } from '../base/integer.ts'
import type {
  BlkioEntry,
  BlkioStats,
  CpuStats,
  CpusetStats,
  HugetlbStats,
  MemoryStats,
  MemoryUse,
  Stats,
} from './accounting.ts'
import { stringifyExact } from './count.ts'
import type { Pressure, Stall } from './pressure.ts'

/** The line without its newline. */
export function statsEvent(id: string, stats: Stats): string {
  return stringifyExact({
    type: 'stats',
    id,
    data: {
      cpu: cpu(stats.cpu),
      cpuset: cpuset(stats.cpuset),
      memory: memory(stats.memory),
      pids: withoutZeros({ current: stats.pids.current, limit: stats.pids.limit }),
      blkio: blkio(stats.blkio),
      hugetlb: sortedObject(stats.hugetlb, hugetlb),
      intel_rdt: {},
      network_interfaces: null,
    },
  })
}

/** The line for a process that the kernel killed for want of memory. */
export const oomEvent = (id: string): string => JSON.stringify({ type: 'oom', id })

type Omissible = Integer64 | string | readonly unknown[]

/** What Go's encoding/json leaves of a structure whose fields all say `omitempty`. */
function withoutZeros(fields: Readonly<Record<string, Omissible>>): Readonly<Record<string, Omissible>> {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) => value !== 0 && (typeof value !== 'object' || value.length > 0) && value !== '',
    ),
  )
}

const cpu = ({ totalNanos, kernelNanos, userNanos, percpu, throttling, pressure }: CpuStats): object => ({
  usage: {
    ...withoutZeros({
      total: totalNanos,
      percpu: percpu.total,
      percpu_kernel: percpu.kernel,
      percpu_user: percpu.user,
    }),
    kernel: kernelNanos,
    user: userNanos,
  },
  throttling: withoutZeros({
    periods: throttling.periods,
    throttledPeriods: throttling.throttledPeriods,
    throttledTime: throttling.throttledNanos,
  }),
  ...psi(pressure),
})

const cpuset = (stats: CpusetStats): object => ({
  ...withoutZeros({ cpus: stats.cpus }),
  cpu_exclusive: stats.cpuExclusive,
  ...withoutZeros({ mems: stats.mems }),
  mem_hardwall: stats.memHardwall,
  mem_exclusive: stats.memExclusive,
  memory_migrate: stats.memoryMigrate,
  memory_spread_page: stats.memorySpreadPage,
  memory_spread_slab: stats.memorySpreadSlab,
  memory_pressure: stats.memoryPressure,
  sched_load_balance: stats.schedLoadBalance,
  sched_relax_domain_level: stats.schedRelaxDomainLevel,
})

function memory({ cacheBytes, memory, swap, kernel, kernelTcp, raw, pressure, events }: MemoryStats): object {
  return {
    ...withoutZeros({ cache: cacheBytes }),
    usage: memoryUse(memory),
    swap: memoryUse(swap),
    kernel: memoryUse(kernel),
    kernelTCP: memoryUse(kernelTcp),
    ...(raw.size === 0 ? {} : { raw: sortedObject(raw, (count) => count) }),
    ...psi(pressure),
    ...(events === undefined
      ? {}
      : {
          event_count: withoutZeros({
            low: events.low,
            high: events.high,
            max: events.max,
            oom: events.oom,
            oom_kill: events.oomKill,
            oom_group_kill: events.oomGroupKill,
          }),
        }),
  }
}

const memoryUse = ({ limitBytes, usageBytes, maxUsageBytes, failures }: MemoryUse): object => ({
  limit: limitBytes,
  ...withoutZeros({ usage: usageBytes, max: maxUsageBytes }),
  failcnt: failures,
})

/** Go prints maps in the order of their keys. */
const sortedObject = <Value>(map: ReadonlyMap<string, Value>, print: (value: Value) => unknown): object =>
  Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, print(value)]))

const hugetlb = ({ usageBytes, maxUsageBytes, failures }: HugetlbStats): object => ({
  ...withoutZeros({ usage: usageBytes, max: maxUsageBytes }),
  failcnt: failures,
})

const blkio = (stats: BlkioStats): object => ({
  ...withoutZeros({
    ioServiceBytesRecursive: stats.serviceBytes.map(blkioEntry),
    ioServicedRecursive: stats.serviced.map(blkioEntry),
    ioQueueRecursive: stats.queued.map(blkioEntry),
    ioServiceTimeRecursive: stats.serviceTime.map(blkioEntry),
    ioWaitTimeRecursive: stats.waitTime.map(blkioEntry),
    ioMergedRecursive: stats.merged.map(blkioEntry),
    ioTimeRecursive: stats.time.map(blkioEntry),
    sectorsRecursive: stats.sectors.map(blkioEntry),
  }),
  ...psi(stats.pressure),
})

const blkioEntry = ({ major, minor, op, value }: BlkioEntry): object => withoutZeros({ major, minor, op, value })

const psi = (pressure: Pressure | undefined): object =>
  pressure === undefined
    ? {}
    : { psi: { some: stall(pressure.some), ...(pressure.full === undefined ? {} : { full: stall(pressure.full) }) } }

const stall = ({ avg10, avg60, avg300, totalMicros }: Stall): object => ({ avg10, avg60, avg300, total: totalMicros })
