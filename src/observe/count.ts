/** Counters and limits in files of the kernel: unsigned 64-bit numbers, and the word `max`. */

import type { Integer64 } from '../base/integer.ts'

/** A limit that is none: `max` in cgroup v2, and what v1 and runc mean by the largest number there is. */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn

/**
 * The number in `text`, `max` as UNLIMITED.
 *
 * A negative one counts as 0: the counters of a cgroup are sums over CPUs that are read one after another, and may come out below.
 */
export function parseCount(text: string): Integer64 {
  const word = text.trim()
  if (word === 'max') return UNLIMITED
  const count = Number(word)
  if (Number.isSafeInteger(count)) return Math.max(count, 0)
  return /^\d+$/.test(word) ? BigInt(word) : 0
}

/** The sum, UNLIMITED at most. */
export function addCounts(a: Integer64, b: Integer64): Integer64 {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a + b)) return a + b
  return shortest(BigInt(a) + BigInt(b))
}

/** The product, UNLIMITED at most. */
export function multiplyCount(count: Integer64, factor: number): Integer64 {
  if (typeof count === 'number' && Number.isSafeInteger(count * factor)) return count * factor
  return shortest(BigInt(count) * BigInt(factor))
}

/** A number where that is exact, as Integer64 wants it. */
function shortest(count: bigint): Integer64 {
  if (count > UNLIMITED) return UNLIMITED
  return count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : count
}

/** The lines `key value` of a file such as memory.stat; lines of another shape are left out. */
export function parseCounts(text: string): ReadonlyMap<string, Integer64> {
  const counts = new Map<string, Integer64>()
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ')
    if (space > 0) counts.set(line.slice(0, space), parseCount(line.slice(space + 1)))
  }
  return counts
}

/** Far beyond what the kernel counts processors and memory nodes to. */
const MAX_LISTED = 65_535

/** The numbers of a list such as `0-3,8`, in order; 65,535 is the last one that counts. kernel:admin-guide/cgroup-v1/cpusets.rst "List format" */
export function parseRanges(text: string): readonly number[] {
  const numbers: number[] = []
  for (const part of text.trim().split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (range === null) continue
    const last = Math.min(Number(range[2] ?? range[1]), MAX_LISTED)
    for (let number = Number(range[1]); number <= last; number++) numbers.push(number)
  }
  return numbers
}

/** JSON with 64-bit integers in full, which JSON.stringify rounds (numbers) or refuses (bigint). */
export function stringifyExact(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return stringifyBigints(value)
  }
}

/** A function that is called for each value takes ten times as long, so it is only called where JSON.stringify meets a bigint. */
function stringifyBigints(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `\0${part}` : part))
  // A NUL stands in no text of the kernel, so this finds those that were put in one line above and no others.
  return text.replace(/"\\u0000(\d+)"/g, '$1')
}
