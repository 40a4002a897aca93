/** Limits and devices of a request → linux.resources. */

/** Undefined leaves a limit as it is. Bytes, unless the name says otherwise; -1 is no limit. */
export interface IntentResources {
  readonly memoryBytes?: number | undefined
  /** Memory and swap together. */
  readonly memorySwapBytes?: number | undefined
  readonly memoryReservationBytes?: number | undefined
  /** 0 to 100. */
  readonly memorySwappiness?: number | undefined
  readonly disablesOomKiller?: boolean | undefined
  readonly cpus?: number | undefined
  readonly cpuShares?: number | undefined
  readonly cpuQuotaMicros?: number | undefined
  readonly cpuPeriodMicros?: number | undefined
  readonly cpuRealtimePeriodMicros?: number | undefined
  readonly cpuRealtimeRuntimeMicros?: number | undefined
  readonly cpusetCpus?: string | undefined
  readonly cpusetMems?: string | undefined
  readonly pids?: number | undefined
  /** 10 to 1000; 0 is no wish. */
  readonly blockWeight?: number | undefined
  readonly blockWeightDevices?: readonly DeviceWeight[] | undefined
  /** Bytes or operations a second. */
  readonly blockRates?: Readonly<Partial<Record<BlockRate, readonly DeviceRate[]>>> | undefined
  readonly hugepages?: readonly { readonly pageSize: string; readonly limit: number }[] | undefined
  readonly rdma?:
    | readonly { readonly device: string; readonly handles?: number; readonly objects?: number }[]
    | undefined
  /** 0xMMMMmmmm, a handle of tc(8). */
  readonly netClass?: number | undefined
  readonly netPriorities?: readonly { readonly name: string; readonly priority: number }[] | undefined
  /** Files of cgroup v2 and what is written to them. */
  readonly unified?: Readonly<Record<string, string>> | undefined
}

export const BLOCK_RATES = ['ReadBps', 'WriteBps', 'ReadIOPS', 'WriteIOPS'] as const
export type BlockRate = (typeof BLOCK_RATES)[number]

interface DeviceNumber {
  readonly major: number
  readonly minor: number
}

export type DeviceWeight = DeviceNumber & { readonly weight: number }
export type DeviceRate = DeviceNumber & { readonly rate: number }

/** As linux.devices has them. */
export type IntentDevice = DeviceNumber & {
  readonly path: string
  readonly type: 'b' | 'c'
  readonly fileMode: number
  readonly uid: number
  readonly gid: number
}

/** As linux.resources.devices has them; a number that is left out is every one. */
export interface DeviceRule {
  readonly allow: boolean
  readonly type: 'a' | 'b' | 'c'
  readonly major?: number | undefined
  readonly minor?: number | undefined
  readonly access: string
}

const DEFAULT_PERIOD_MICROS = 100_000

/** Without the devices. Sections that nothing was asked of are left out, as an update has to leave them alone. */
export function resourcesDocument(resources: IntentResources): object {
  const { memoryBytes, memorySwapBytes, cpus, pids, unified } = resources
  const sections = {
    memory: {
      limit: memoryBytes,
      swap: swapOf(memoryBytes, memorySwapBytes),
      reservation: resources.memoryReservationBytes,
      swappiness: resources.memorySwappiness,
      disableOOMKiller: resources.disablesOomKiller,
    },
    cpu: {
      shares: resources.cpuShares,
      quota: cpus === undefined ? resources.cpuQuotaMicros : Math.round(cpus * DEFAULT_PERIOD_MICROS),
      period: cpus === undefined ? resources.cpuPeriodMicros : DEFAULT_PERIOD_MICROS,
      realtimePeriod: resources.cpuRealtimePeriodMicros,
      realtimeRuntime: resources.cpuRealtimeRuntimeMicros,
      cpus: resources.cpusetCpus,
      mems: resources.cpusetMems,
    },
    // No limit for docker; 0 of a kernel is none at all.
    pids: { limit: pids === 0 ? -1 : pids },
    blockIO: blockDocument(resources),
    hugepageLimits: resources.hugepages,
    rdma: rdmaDocument(resources),
    network: { classID: resources.netClass, priorities: resources.netPriorities },
    unified,
  }
  return Object.fromEntries(
    Object.entries(sections).flatMap(([name, section]) => {
      if (Array.isArray(section)) return [[name, section]]
      const given = Object.entries(section ?? {}).filter(([, value]) => value !== undefined)
      return given.length === 0 ? [] : [[name, Object.fromEntries(given)]]
    }),
  )
}

function blockDocument({ blockWeight, blockWeightDevices, blockRates = {} }: IntentResources): object {
  const rates = BLOCK_RATES.map((kind): readonly [string, unknown] => [`throttle${kind}Device`, blockRates[kind]])
  return { weight: blockWeight, weightDevice: blockWeightDevices, ...Object.fromEntries(rates) }
}

const rdmaDocument = ({ rdma = [] }: IntentResources): object =>
  Object.fromEntries(rdma.map(({ device, handles, objects }) => [device, { hcaHandles: handles, hcaObjects: objects }]))

/** docker's rule: as much swap as memory if nothing is said. */
export const swapOf = (memoryBytes: number | undefined, swapBytes: number | undefined): number | undefined =>
  swapBytes ?? (memoryBytes === undefined ? undefined : memoryBytes * 2)
