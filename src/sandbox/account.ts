/** What a container has used, and which limits it met: from the files of its cgroups and from struct rusage. */

import type { Files } from '../base/files.ts'
import { parseBlkio } from '../observe/stats-v1.ts'
import type { CgroupDirectories } from '../plan/cgroup-place.ts'

/**
 * Undefined: this machine does not count it for this caller. Milliseconds and bytes.
 *
 * Of a command in a box, CPU time is its own; peaks are those of the box until then, and the rest is what the whole box did while it ran.
 */
export interface Usage {
  /** From the start of the program to its end. */
  readonly wallMs: number
  readonly cpuMs: number
  readonly userMs: number
  readonly systemMs: number
  readonly peakMemoryBytes: number | undefined
  /** From and to disks. */
  readonly readBytes: number | undefined
  readonly writtenBytes: number | undefined
  readonly peakPids: number | undefined
  /** How long it had to wait as its share of the CPUs was used up. */
  readonly throttledMs: number | undefined
  /** How often a limit was met. */
  readonly outOfMemoryKills: number
  readonly pidsRefused: number
}

/** The paths of the files that usageOf reads. */
export function accountFiles({ paths }: CgroupDirectories): readonly string[] {
  const unified = paths['']
  const of = (controller: string, ...files: readonly string[]): readonly string[] => {
    const directory = paths[controller]
    return directory === undefined ? [] : files.map((file) => `${directory}/${file}`)
  }
  return [
    ...(unified === undefined ? [] : V2.map((file) => `${unified}/${file}`)),
    ...of('memory', 'memory.max_usage_in_bytes', 'memory.oom_control'),
    ...of('cpuacct', 'cpuacct.usage'),
    ...of('cpu', 'cpu.stat'),
    ...of('pids', 'pids.peak', 'pids.events'),
    ...of('blkio', 'blkio.throttle.io_service_bytes_recursive'),
  ]
}

/** The texts of these files by their names, each as it is when it is first asked for; empty where there is none. */
export function accountTexts(files: Pick<Files, 'readText'>, cgroup: CgroupDirectories): Accounts['text'] {
  const paths = accountFiles(cgroup)
  const known = new Map<string, string>()
  return (name) => {
    const path = paths.find((file) => file.endsWith(`/${name}`))
    const text = known.get(name) ?? (path === undefined ? undefined : files.readText(path)) ?? ''
    known.set(name, text)
    return text
  }
}

const V2 = ['memory.peak', 'memory.events', 'cpu.stat', 'pids.peak', 'pids.events', 'io.stat']

/** Milliseconds between two of struct timespec: linux/clock.ts. */
export function msBetween(from: Uint8Array, to: Uint8Array): number {
  const word = (bytes: Uint8Array, at: number): number =>
    Number(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(at, true))
  return (word(to, 0) - word(from, 0)) * 1000 + (word(to, 8) - word(from, 8)) / 1e6
}

export interface Rusage {
  readonly userMs: number
  readonly systemMs: number
  readonly peakBytes: number
}

/** struct rusage: linux/process.ts. */
export function parseRusage(bytes: Uint8Array): Rusage {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const word = (at: number): number => Number(view.getBigInt64(at, true))
  const ms = (at: number): number => word(at) * 1000 + word(at + 8) / 1000
  return { userMs: ms(0), systemMs: ms(16), peakBytes: word(32) * 1024 }
}

export interface Accounts {
  /** The text of a file by its name, such as `cpu.stat`; empty where there is none. */
  readonly text: (name: string) => string
  readonly rusage: Rusage
  readonly wallMs: number
}

const rowOf = (text: string, key: keyof typeof ROWS): number | undefined => {
  const value = ROWS[key].exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

const ROWS = {
  max: /^max (\d+)$/m,
  oom_kill: /^oom_kill (\d+)$/m,
  throttled_time: /^throttled_time (\d+)$/m,
  throttled_usec: /^throttled_usec (\d+)$/m,
  usage_usec: /^usage_usec (\d+)$/m,
}

const metLimits = (text: Accounts['text']): Pick<Usage, 'outOfMemoryKills' | 'pidsRefused'> => ({
  outOfMemoryKills: rowOf(text('memory.events'), 'oom_kill') ?? rowOf(text('memory.oom_control'), 'oom_kill') ?? 0,
  pidsRefused: rowOf(text('pids.events'), 'max') ?? 0,
})

const singleOf = (text: string): number | undefined => (text === '' ? undefined : Number(text))

export type Counts = Pick<Usage, 'readBytes' | 'writtenBytes' | 'throttledMs' | 'outOfMemoryKills' | 'pidsRefused'>

/** What grows as long as the cgroup lives. */
export function countsOf(text: Accounts['text']): Counts {
  const throttledNanos = rowOf(text('cpu.stat'), 'throttled_time')
  const throttledMicros = rowOf(text('cpu.stat'), 'throttled_usec')
  return {
    ...trafficOf(text),
    throttledMs: throttledNanos !== undefined ? throttledNanos / 1e6 : throttledMicros && throttledMicros / 1000,
    ...metLimits(text),
  }
}

export const peaksOf = (text: Accounts['text']): Pick<Usage, 'peakMemoryBytes' | 'peakPids'> => ({
  peakMemoryBytes: singleOf(text('memory.peak')) ?? singleOf(text('memory.max_usage_in_bytes')),
  peakPids: singleOf(text('pids.peak')),
})

/** Undefined once the cgroup is gone, or where there is none. */
export function cpuMsOf(text: Accounts['text']): number | undefined {
  const nanos = singleOf(text('cpuacct.usage'))
  if (nanos !== undefined) return nanos / 1e6
  const micros = rowOf(text('cpu.stat'), 'usage_usec')
  return micros === undefined ? undefined : micros / 1000
}

/** What a process was told of itself. */
export const timesOf = ({
  rusage,
  wallMs,
}: Omit<Accounts, 'text'>): Pick<Usage, 'wallMs' | 'cpuMs' | 'userMs' | 'systemMs'> => ({
  wallMs,
  cpuMs: rusage.userMs + rusage.systemMs,
  userMs: rusage.userMs,
  systemMs: rusage.systemMs,
})

export function usageOf({ text, ...told }: Accounts): Usage {
  const times = timesOf(told)
  return {
    ...times,
    // What is accounted at ticks may lag behind what the process was told.
    cpuMs: cpuMsOf(text) ?? times.cpuMs,
    ...peaksOf(text),
    ...countsOf(text),
  }
}

function trafficOf(text: Accounts['text']): Pick<Usage, 'readBytes' | 'writtenBytes'> {
  const v1 = text('blkio.throttle.io_service_bytes_recursive')
  if (v1 !== '') {
    const entries = parseBlkio(v1)
    const sum = (op: string): number =>
      entries.filter((entry) => entry.op === op).reduce((total, { value }) => total + Number(value), 0)
    return { readBytes: sum('Read'), writtenBytes: sum('Write') }
  }
  // `8:0 rbytes=1 wbytes=2 rios=…`, no line for a device that was not used: kernel:admin-guide/cgroup-v2.rst "io.stat"
  if (text('memory.peak') === '' && text('io.stat') === '') return { readBytes: undefined, writtenBytes: undefined }
  const sum = (key: string): number =>
    [...text('io.stat').matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    )
  return { readBytes: sum('rbytes'), writtenBytes: sum('wbytes') }
}
