/** Comparisons of arguments: what they mean, and which of two is the more specific. */

import type { SeccompArgument } from '../oci/seccomp.ts'

/** A comparison; LT, LE and NE are GE, GT and EQ that must not hold. */
export interface Condition {
  /** 0 to 5. */
  readonly argument: number
  readonly comparison: 'equal' | 'greater' | 'greaterOrEqual' | 'maskedEqual'
  readonly negated: boolean
  readonly high: number
  readonly low: number
  readonly maskHigh: number
  readonly maskLow: number
}

const ALL_BITS = 0xffff_ffff
const HIGH_UNIT = 0x1_0000_0000

/** A comparison of the profile. A masked one ignores the bits of its value that the mask does not have, as libseccomp does. */
export function conditionOf({ index, op, value, valueTwo }: SeccompArgument): Condition {
  if (op === 'SCMP_CMP_MASKED_EQ') {
    const maskHigh = highHalf(value)
    const maskLow = lowHalf(value)
    return {
      argument: index,
      comparison: 'maskedEqual',
      negated: false,
      high: (highHalf(valueTwo) & maskHigh) >>> 0,
      low: (lowHalf(valueTwo) & maskLow) >>> 0,
      maskHigh,
      maskLow,
    }
  }
  return {
    argument: index,
    comparison: op === 'SCMP_CMP_EQ' || op === 'SCMP_CMP_NE' ? 'equal' : comparisonOf(op),
    negated: op === 'SCMP_CMP_NE' || op === 'SCMP_CMP_LT' || op === 'SCMP_CMP_LE',
    high: highHalf(value),
    low: lowHalf(value),
    maskHigh: ALL_BITS,
    maskLow: ALL_BITS,
  }
}

/** The comparison of an argument with a number below 2^32. */
export function equalTo(argument: number, value: number): Condition {
  return conditionOf({ index: argument, op: 'SCMP_CMP_EQ', value, valueTwo: 0 })
}

function comparisonOf(op: 'SCMP_CMP_LT' | 'SCMP_CMP_LE' | 'SCMP_CMP_GE' | 'SCMP_CMP_GT'): 'greater' | 'greaterOrEqual' {
  switch (op) {
    case 'SCMP_CMP_GT':
    case 'SCMP_CMP_LE':
      return 'greater'
    case 'SCMP_CMP_GE':
    case 'SCMP_CMP_LT':
      return 'greaterOrEqual'
  }
}

function highHalf(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(value >> 32n) : Math.floor(value / HIGH_UNIT)
}

function lowHalf(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(value & 0xffff_ffffn) : value >>> 0
}

/** A condition as an architecture sees it that compares 32 bits only. */
export function narrow(condition: Condition): Condition {
  return { ...condition, high: 0, maskHigh: 0 }
}

/** Whether a comparison holds for every value. */
export function holdsAlways({ comparison, maskHigh, maskLow }: Condition): boolean {
  return comparison === 'maskedEqual' && maskHigh === 0 && maskLow === 0
}

/** Whether two comparisons are one. */
export function isSame(a: Condition, b: Condition): boolean {
  return (
    a.low === b.low &&
    a.high === b.high &&
    a.argument === b.argument &&
    a.comparison === b.comparison &&
    a.negated === b.negated &&
    a.maskHigh === b.maskHigh &&
    a.maskLow === b.maskLow
  )
}

/**
 * libseccomp compares the halves of an argument one after the other, and conditions that begin alike share the first comparison. Where only
 * the low half is compared, all conditions for one argument begin alike.
 */
export function looksAlikeAtHighHalf(a: Condition, b: Condition): boolean {
  const alike = a.argument === b.argument && a.high === b.high && a.maskHigh === b.maskHigh
  return alike && (a.maskHigh === 0 || isOrder(a) === isOrder(b))
}

/** Which comes first: later arguments, then equality before upper before lower bounds, then the tighter bound and the larger value. */
export function compareHalves(a: Condition, b: Condition, half: 'high' | 'low'): number {
  if (a.argument !== b.argument) return b.argument - a.argument
  const priority = priorityOf(b) - priorityOf(a)
  if (priority !== 0) return priority
  return priorityOf(a) === 2 ? a[half] - b[half] : b[half] - a[half]
}

function priorityOf(condition: Condition): number {
  if (!isOrder(condition)) return 3
  return condition.negated ? 2 : 1
}

function isOrder({ comparison }: Condition): boolean {
  return comparison === 'greater' || comparison === 'greaterOrEqual'
}
