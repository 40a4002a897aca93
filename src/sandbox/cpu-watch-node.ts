/**
 * Ends a container that has used up its CPU time: the sum over all its processes, which no limit of the kernel counts.
 *
 * It looks again when the time could be used up at the earliest, all CPUs busy: a container that uses little is hardly looked at.
 */

import type { ExactLimits } from './limits.ts'

export interface CpuWatch {
  /** What it has used until now; undefined once its cgroup is gone, or where there is none. */
  readonly usedMs: () => number | undefined
  readonly limits: ExactLimits
  /** How many CPUs may be busy for it at once, if its limits do not say. */
  readonly cpuCount: number
  /** What was used before it counts. */
  readonly beforeMs?: number | undefined
  readonly onExceeded: () => void
}

/** Not more often than this; so much may be used beyond the limit on each CPU. */
const LEAST_MS = 5

/** Answers what ends the watch. */
export function watchCpu({ usedMs, limits, cpuCount, onExceeded, beforeMs = 0 }: CpuWatch): () => void {
  const { cpuTimeMs, cpus = cpuCount } = limits
  if (cpuTimeMs === undefined) return () => undefined
  let timer: NodeJS.Timeout
  const look = (): void => {
    const used = usedMs()
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
