/**
 * Ends a container that has used up its CPU time: the sum over all its processes, which no limit of the kernel counts.
 *
 * It looks again when the time could be used up at the earliest, all CPUs busy: a container that uses little is hardly looked at.
 */

import { availableParallelism } from 'node:os'
import type { Files } from '../base/files.ts'
import type { CgroupDirectories } from '../plan/cgroup-place.ts'
import type { ExactLimits } from './limits.ts'

export interface CpuWatch {
  readonly files: Files
  readonly cgroup: CgroupDirectories
  readonly limits: ExactLimits
  /** What was used before it counts. */
  readonly beforeMs?: number | undefined
  readonly onExceeded: () => void
}

/** Not more often than this; so much may be used beyond the limit on each CPU. */
const LEAST_MS = 5

/** Answers what ends the watch. */
export function watchCpu({ files, cgroup, limits, onExceeded, beforeMs = 0 }: CpuWatch): () => void {
  const { cpuTimeMs, cpus = availableParallelism() } = limits
  if (cpuTimeMs === undefined) return () => undefined
  let timer: NodeJS.Timeout
  const look = (): void => {
    const used = cpuMsOf(files, cgroup)
    if (used === undefined) return
    if (used - beforeMs > cpuTimeMs) onExceeded()
    else schedule(cpuTimeMs - (used - beforeMs))
  }
  const schedule = (leftMs: number): void => {
    timer = setTimeout(look, Math.max(leftMs / Math.max(cpus, 0.01), LEAST_MS))
    timer.unref()
  }
  schedule(cpuTimeMs)
  return () => clearTimeout(timer)
}

/** Undefined once the cgroup is gone, or where there is none. */
export function cpuMsOf(files: Files, { paths }: CgroupDirectories): number | undefined {
  const v1 = paths.cpuacct === undefined ? undefined : files.readText(`${paths.cpuacct}/cpuacct.usage`)
  if (v1 !== undefined) return Number(v1) / 1e6
  const v2 = paths[''] === undefined ? undefined : files.readText(`${paths['']}/cpu.stat`)
  const micros = /^usage_usec (\d+)$/m.exec(v2 ?? '')?.[1]
  return micros === undefined ? undefined : Number(micros) / 1000
}
