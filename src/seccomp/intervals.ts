/**
 * The numbers that a call can have as intervals of one outcome each.
 *
 * Docker's profile gives some 370 calls of x86_64 a rule and makes some 90 intervals of them; a search takes 7 comparisons.
 */

import { numberBase, slotNumber } from '../linux/syscalls.ts'
import type { ArchitectureTable } from './tables.ts'

/** Interval i is from `starts[i]` to `starts[i + 1] - 1`, the last one to 2^32 - 1. */
export interface Intervals {
  readonly starts: number[]
  /** A verdict if not negative, otherwise -1 - an index in the list of blocks (tables.ts). */
  readonly outcomes: number[]
}

/** An architecture's part of the filter. */
export interface ArchitecturePart {
  readonly table: ArchitectureTable
  /** Whether numbers above the highest that the profile mentions fail with ENOSYS. */
  readonly hidesNewer: boolean
}

/** Verdicts that no rule asks for. */
export interface Defaults {
  /** For a call without a rule. */
  readonly unruled: number
  /** For a call that is newer than the profile. */
  readonly newer: number
  /** For a calling convention that the filter does not have. */
  readonly badArchitecture: number
}

/** The intervals of an architecture that has its value of `AUDIT_ARCH_*` for itself. */
export function intervalsOf(part: ArchitecturePart, defaults: Defaults): Intervals {
  const intervals: Intervals = { starts: [0], outcomes: [defaults.unruled] }
  appendPart(intervals, part, defaults)
  const { architecture } = part.table
  // The kernel puts 0 where it does not know the number that setup(2) was called with (arch/s390/kernel/syscall.c), so runc hides it.
  if (part.hidesNewer && (architecture === 's390' || architecture === 's390x')) replaceFirst(intervals, defaults.newer)
  return intervals
}

const X32_BIT = 0x4000_0000

/**
 * The intervals of x86_64, where numbers with bit 30 are calls of x32.
 *
 * What is left over is judged as by runc and libseccomp together: runc looks at bit 30 only, libseccomp takes every number from 2^30 on for
 * x32, and lets -1 pass, with which a tracer skips a call (seccomp(2)).
 */
export function intervalsOfX86(
  { x86_64, x32 }: { readonly x86_64?: ArchitecturePart | undefined; readonly x32?: ArchitecturePart | undefined },
  defaults: Defaults,
): Intervals {
  const { unruled, newer, badArchitecture } = defaults
  const foreign = x32 === undefined ? badArchitecture : unruled
  const intervals: Intervals = { starts: [0], outcomes: [x86_64 === undefined ? badArchitecture : unruled] }
  if (x86_64 !== undefined) appendPart(intervals, x86_64, defaults)
  append(intervals, X32_BIT, foreign)
  if (x32 !== undefined) appendPart(intervals, x32, defaults)
  append(intervals, 0x8000_0000, x86_64?.hidesNewer === true ? newer : foreign)
  append(intervals, 0xc000_0000, x32?.hidesNewer === true ? newer : foreign)
  if (x32 === undefined) append(intervals, 0xffff_ffff, unruled)
  return intervals
}

function appendPart(intervals: Intervals, { table, hidesNewer }: ArchitecturePart, { unruled, newer }: Defaults): void {
  const { outcomes, lastSlot, highestNumber, architecture } = table
  const base = numberBase(architecture)
  let last = unruled
  for (let slot = 0; slot <= lastSlot; slot++) {
    const outcome = outcomes[slot] as number
    if (outcome === last) continue
    const number = base + slotNumber(slot)
    if (hidesNewer && number > highestNumber) break
    append(intervals, number, outcome)
    last = outcome
  }
  if (hidesNewer) append(intervals, highestNumber + 1, newer)
  else append(intervals, base + slotNumber(lastSlot + 1), unruled)
}

function append({ starts, outcomes }: Intervals, start: number, outcome: number): void {
  const last = starts.length - 1
  if (starts[last] === start) outcomes[last] = outcome
  else if (outcomes[last] !== outcome) {
    starts.push(start)
    outcomes.push(outcome)
  }
}

function replaceFirst({ starts, outcomes }: Intervals, outcome: number): void {
  if (starts[1] !== 1) {
    starts.splice(1, 0, 1)
    outcomes.splice(1, 0, outcomes[0] as number)
  }
  outcomes[0] = outcome
}
