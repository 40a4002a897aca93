/** What a cgroup uses at one moment, as plain numbers. */

import type { Files } from '../base/files.ts'
import type { BlkioEntry } from '../observe/accounting.ts'
import { type CgroupPaths, readStats } from '../observe/stats.ts'

export interface Sample {
  readonly atNanos: number
  readonly cpuNanos: number
  readonly throttledNanos: number
  readonly memoryBytes: number
  /** How often the memory limit was met. */
  readonly failures: number
  readonly pids: number
  readonly readBytes: number
  readonly writtenBytes: number
}

export function sampleOf(files: Files, paths: CgroupPaths, atNanos: number): Sample {
  const { cpu, memory, pids, blkio } = readStats(paths, files)
  return {
    atNanos,
    cpuNanos: Number(cpu.totalNanos),
    throttledNanos: Number(cpu.throttling.throttledNanos),
    memoryBytes: Number(memory.memory.usageBytes),
    failures: Number(memory.memory.failures),
    pids: Number(pids.current),
    readBytes: sumOf(blkio.serviceBytes, /^read$/i),
    writtenBytes: sumOf(blkio.serviceBytes, /^write$/i),
  }
}

const sumOf = (entries: readonly BlkioEntry[], op: RegExp): number =>
  entries.filter((entry) => op.test(entry.op)).reduce((sum, { value }) => sum + Number(value), 0)

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.5MiB`; `max` for what v1 and v2 mean by no limit. */
export function bytesText(bytes: number): string {
  if (bytes >= 2 ** 60) return 'max'
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)}${UNITS[unit]}`
}

export const secondsText = (nanos: number): string => `${(nanos / 1e9).toFixed(3)}s`
