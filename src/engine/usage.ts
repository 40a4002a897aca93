/** What a running container uses now, from its cgroups and its network. */

import type { Files } from '../base/files.ts'
import { type BriefStats, readBriefStats } from '../observe/brief-stats.ts'
import type { EngineContainer } from './containers.ts'
import type { Engine } from './place.ts'

export interface Usage extends BriefStats {
  /** Since 1970, as all times here. */
  readonly atNanos: number
  readonly startedNanos: number
  /** That of the machine, if it has none of its own. */
  readonly memoryLimitBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

const NANOS_PER_MS = 1_000_000

/** By id, of those that run. */
export function usages({ machine }: Engine, containers: readonly EngineContainer[]): ReadonlyMap<string, Usage> {
  const { files } = machine
  const total = memoryOfMachine(files)
  const found = new Map<string, Usage>()
  for (const container of containers) {
    if (container.status !== 'running' && container.status !== 'paused') continue
    const stats = readBriefStats(container.cgroups, files)
    const { memoryLimitBytes: limit = 0 } = stats
    found.set(container.record.id, {
      ...stats,
      memoryLimitBytes: limit > 0 && limit < total ? limit : total,
      atNanos: machine.now().getTime() * NANOS_PER_MS,
      startedNanos: Date.parse(container.started) * NANOS_PER_MS,
      ...networkOf(files, container.pid),
    })
  }
  return found
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
