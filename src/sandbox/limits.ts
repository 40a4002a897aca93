/** What a command may use: words of the caller and defaults become exact numbers. */

import { OperationError } from '../base/errors.ts'

/** Bytes, or a number with a unit: `1e6`, `'256MiB'`, `'1.5GB'`, `'64k'`. k, m, g and t count in 1024 with or without `iB`, in 1000 with `B`. */
export type Size = number | string

/** Every limit has a default; `'unlimited'` lifts one. */
export interface Limits {
  /** Memory of all processes together, file systems in memory included. Default 512 MiB. */
  readonly memory?: Size | 'unlimited' | undefined
  /** Swap beside that. Default 0. */
  readonly swap?: Size | 'unlimited' | undefined
  /** Processes and threads together. Default 128. */
  readonly pids?: number | 'unlimited' | undefined
  /** CPUs, 0.5 is half of one. Default: all. */
  readonly cpus?: number | 'unlimited' | undefined
  /** Milliseconds from the start of the program. Default 30,000; a box itself has none. */
  readonly wallClockMs?: number | 'unlimited' | undefined
  /** Milliseconds of CPU time of all processes together. Default 30,000. */
  readonly cpuTimeMs?: number | 'unlimited' | undefined
  /** Standard output and error together. Default 16 MiB. */
  readonly outputBytes?: Size | 'unlimited' | undefined
  /**
   * What may be written to the copy-on-write layer, which is memory as well, and the size of any file. Default 256 MiB. A root that has no
   * such layer has only the default, for its files.
   */
  readonly diskBytes?: Size | 'unlimited' | undefined
  /** Open files of each process. Default 1,024. */
  readonly openFiles?: number | 'unlimited' | undefined
}

export type LimitName = keyof Limits

/** Exact; a limit that is lifted is undefined. */
export type ExactLimits = { readonly [Name in LimitName]: number | undefined }

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: ExactLimits = {
  memory: 512 * MIB,
  swap: 0,
  pids: 128,
  cpus: undefined,
  wallClockMs: 30_000,
  cpuTimeMs: 30_000,
  outputBytes: 16 * MIB,
  diskBytes: 256 * MIB,
  openFiles: 1024,
}

const NAMES = Object.keys(DEFAULT_LIMITS) as readonly LimitName[]

/** Smallest values: less would be a container in which nothing runs. */
const LEAST: ExactLimits = {
  memory: MIB,
  swap: 0,
  pids: 1,
  cpus: 0.01,
  wallClockMs: 1,
  cpuTimeMs: 1,
  outputBytes: 0,
  diskBytes: 4096,
  openFiles: 3,
}

/** Throws `invalid`, naming the limit. */
export function exactLimits(given?: Limits, defaults: ExactLimits = DEFAULT_LIMITS): ExactLimits {
  if (given === undefined) return defaults
  for (const name of Object.keys(given))
    if (!NAMES.includes(name as LimitName)) throw refuse(name, 'is no limit', `there are: ${NAMES.join(', ')}`)
  return Object.fromEntries(NAMES.map((name) => [name, exactLimit(name, given[name], defaults[name])])) as ExactLimits
}

function exactLimit(name: LimitName, given: Size | undefined, usual: number | undefined): number | undefined {
  if (given === undefined) return usual
  if (given === 'unlimited') return undefined
  const value = typeof given === 'number' ? given : sizeOf(name, given)
  const least = LEAST[name] ?? 0
  const isWhole = name === 'cpus' || Number.isSafeInteger(value)
  if (!Number.isFinite(value) || !isWhole || value < least)
    throw refuse(name, `is ${given}`, `give a ${name === 'cpus' ? '' : 'whole '}number of at least ${least}`)
  return value
}

const UNITS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4 }

/** Throws `invalid` for what is not a size. */
export function sizeOf(name: string, text: string): number {
  const [, digits, unit = '', suffix = ''] = /^(\d+(?:\.\d+)?) ?([kmgt]?)(i?b)?$/i.exec(text) ?? []
  if (digits === undefined)
    throw refuse(name, `is ${JSON.stringify(text)}`, 'give bytes, or a number with a unit: 256MiB')
  const base = suffix.toLowerCase() === 'b' && unit !== '' ? 1000 : 1024
  return Math.floor(Number(digits) * base ** (UNITS[unit.toLowerCase()] ?? 0))
}

const refuse = (name: string, problem: string, hint: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: 'read the options', reason: `limits.${name} ${problem}`, hint })
