/** What a running container uses now, from its cgroups and its network. */

import type { Files } from '../base/files.ts'
import type { Integer64 } from '../base/integer.ts'
import { findContainer as findInner } from '../container/store.ts'
import type { MemoryStats } from '../observe/accounting.ts'
import { readStats } from '../observe/stats.ts'
import type { EngineContainer } from './containers.ts'
import type { Engine } from './place.ts'

export interface Usage {
  /** Since 1970, as all times here. */
  readonly atNanos: number
  readonly startedNanos: number
  readonly cpuNanos: number
  /** Without what of the cache can be dropped at once. */
  readonly memoryBytes: number
  readonly memoryLimitBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly readBytes: number
  readonly writtenBytes: number
  readonly pids: number
  /** Share of the last 10 seconds in which some process waited, in percent; undefined where the kernel does not say. */
  readonly pressure: Readonly<Record<'cpu' | 'memory' | 'io', number | undefined>>
}

const NANOS_PER_MS = 1_000_000

/** Undefined for a container that does not run. */
export function usageOf({ machine }: Engine, container: EngineContainer): Usage | undefined {
  if (container.status !== 'running' && container.status !== 'paused') return undefined
  const { files, root } = machine
  const stats = readStats(findInner(files, root, container.record.id).record?.cgroup.paths ?? {}, files)
  const total = memoryOfMachine(files)
  const transferred = (op: string): number =>
    stats.blkio.serviceBytes.reduce((sum, entry) => (entry.op === op ? sum + Number(entry.value) : sum), 0)
  const limit = Number(stats.memory.memory.limitBytes)
  return {
    atNanos: machine.now().getTime() * NANOS_PER_MS,
    startedNanos: Date.parse(container.started) * NANOS_PER_MS,
    cpuNanos: Number(stats.cpu.totalNanos),
    memoryBytes: usedBytes(stats.memory),
    memoryLimitBytes: limit > 0 && limit < total ? limit : total,
    ...networkOf(files, container.pid),
    readBytes: transferred('Read'),
    writtenBytes: transferred('Write'),
    pids: Number(stats.pids.current),
    pressure: {
      cpu: stats.cpu.pressure?.some.avg10,
      memory: stats.memory.pressure?.some.avg10,
      io: stats.blkio.pressure?.some.avg10,
    },
  }
}

/** As docker: docker/cli, calculateMemUsageUnixNoCache. */
function usedBytes({ memory, raw }: MemoryStats): number {
  const usage = Number(memory.usageBytes)
  const inactive: Integer64 = raw.get('total_inactive_file') ?? raw.get('inactive_file') ?? 0
  return Number(inactive) < usage ? usage - Number(inactive) : usage
}

const memoryOfMachine = (files: Files): number =>
  Number(/^MemTotal:\s+(\d+) kB$/m.exec(files.readText('/proc/meminfo') ?? '')?.[1] ?? 0) * 1024

/** `eth0: bytes packets … (8 fields) bytes packets …` for each interface. proc_pid_net(5) */
function networkOf(files: Files, pid: number): { readonly receivedBytes: number; readonly sentBytes: number } {
  let [receivedBytes, sentBytes] = [0, 0]
  for (const line of (files.readText(`/proc/${pid}/net/dev`) ?? '').split('\n')) {
    const [name, fields] = line.split(':')
    const counts = (fields ?? '').trim().split(/\s+/)
    if (fields === undefined || name?.trim() === 'lo') continue
    receivedBytes += Number(counts[0] ?? 0)
    sentBytes += Number(counts[8] ?? 0)
  }
  return { receivedBytes, sentBytes }
}
