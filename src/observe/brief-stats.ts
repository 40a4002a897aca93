/**
 * The part of a container's account that a list of many shows: an eighth of the files that the whole account is in (stats.ts).
 *
 * As there, each controller is read through the interface that its directory has.
 */

import type { Files } from '../base/files.ts'
import { readPressure } from './pressure.ts'
import { parseBlkio } from './stats-v1.ts'
import { parseIoStat } from './stats-v2.ts'

export interface BriefStats {
  readonly cpuNanos: number
  /** Without what of the cache can be dropped at once. */
  readonly memoryBytes: number
  /** Undefined for none. */
  readonly memoryLimitBytes: number | undefined
  readonly pids: number
  readonly readBytes: number
  readonly writtenBytes: number
  /** Share of the last 10 seconds in which some process waited, in percent; undefined where the kernel does not say. */
  readonly pressure: Readonly<Record<'cpu' | 'memory' | 'io', number | undefined>>
}

/** `paths` has the directory of a container for each controller; on v2 all are the same one. */
export function readBriefStats(paths: Readonly<Record<string, string>>, files: Files): BriefStats {
  const { cpuacct, memory, pids, blkio } = paths
  // That of v2 has the empty name where it is beside v1, and otherwise the name of each controller.
  const unified = paths[''] ?? (cpuacct === undefined ? Object.values(paths)[0] : undefined) ?? ''
  const isV2 = cpuacct === undefined || cpuacct === unified
  const avg10 = (resource: 'cpu' | 'memory' | 'io'): number | undefined =>
    unified === '' ? undefined : readPressure(files, unified, resource)?.some.avg10
  return {
    ...(isV2 ? unifiedUse(unified, files) : separateUse({ cpuacct, memory, blkio }, files)),
    pids: numberIn(files, `${isV2 ? unified : (pids ?? '')}/pids.current`),
    pressure: { cpu: avg10('cpu'), memory: avg10('memory'), io: avg10('io') },
  }
}

type Use = Omit<BriefStats, 'pids' | 'pressure'>

const numberIn = (files: Files, path: string): number => Number(files.readText(path) ?? 0)
const valueIn = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)

/** As docker: what was not used lately counts as free. docker/cli, calculateMemUsageUnixNoCache */
const used = (usage: number, inactive: number): number => (inactive < usage ? usage - inactive : usage)

/** kernel:admin-guide/cgroup-v2.rst "Memory", "IO" */
function unifiedUse(directory: string, files: Files): Use {
  const limit = files.readText(`${directory}/memory.max`)?.trim()
  const inactive = valueIn(files.readText(`${directory}/memory.stat`) ?? '', 'inactive_file')
  return {
    cpuNanos: valueIn(files.readText(`${directory}/cpu.stat`) ?? '', 'usage_usec') * 1000,
    memoryBytes: used(numberIn(files, `${directory}/memory.current`), inactive),
    memoryLimitBytes: limit === undefined || limit === 'max' ? undefined : Number(limit),
    ...transferred(parseIoStat(files.readText(`${directory}/io.stat`) ?? '').serviceBytes),
  }
}

interface Separate {
  readonly cpuacct: string
  readonly memory: string | undefined
  readonly blkio: string | undefined
}

/** Where a device has BFQ, that counts; otherwise the throttling layer, which sees every device. */
const SERVED = ['bfq.io_service_bytes_recursive', 'throttle.io_service_bytes_recursive', 'throttle.io_service_bytes']

/** kernel:admin-guide/cgroup-v1/memory.rst, blkio-controller.rst, cpuacct.rst */
function separateUse({ cpuacct, memory, blkio }: Separate, files: Files): Use {
  const inactive =
    memory === undefined ? 0 : valueIn(files.readText(`${memory}/memory.stat`) ?? '', 'total_inactive_file')
  let served: ReturnType<typeof parseBlkio> = []
  for (const name of blkio === undefined ? [] : SERVED)
    if (served.length === 0) served = parseBlkio(files.readText(`${blkio}/blkio.${name}`) ?? '')
  return {
    cpuNanos: numberIn(files, `${cpuacct}/cpuacct.usage`),
    memoryBytes: memory === undefined ? 0 : used(numberIn(files, `${memory}/memory.usage_in_bytes`), inactive),
    memoryLimitBytes: memory === undefined ? undefined : numberIn(files, `${memory}/memory.limit_in_bytes`),
    ...transferred(served),
  }
}

function transferred(entries: ReturnType<typeof parseBlkio>): Pick<Use, 'readBytes' | 'writtenBytes'> {
  const sum = (name: string): number =>
    entries.reduce((total, { op, value }) => (op === name ? total + Number(value) : total), 0)
  return { readBytes: sum('Read'), writtenBytes: sum('Write') }
}
