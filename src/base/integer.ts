/**
 * Reads integer fields of a JSON document, up to 64 bits without loss.
 *
 * JSON.parse makes doubles, which are exact to 2^53 only, so `parseJson` gives larger integers as bigint. An `Integer64` is a number
 * wherever a number is exact and a bigint beyond: equal values are equal with `===`, and `<` compares them rightly.
 */

import type { Section } from './field.ts'
import { fieldOf, itemOf, type Place, refuse, refuseType, shown } from './place.ts'

/** A number up to 2^53 - 1 either way, a bigint beyond. */
export type Integer64 = number | bigint

/** Both ends are allowed. */
export interface Range {
  readonly min: Integer64
  readonly max: Integer64
}

export const UINT16: Range = { min: 0, max: 0xffff }
export const UINT32: Range = { min: 0, max: 0xffff_ffff }
export const INT32: Range = { min: -0x8000_0000, max: 0x7fff_ffff }
export const INT64: Range = { min: -0x8000_0000_0000_0000n, max: 0x7fff_ffff_ffff_ffffn }
export const UINT64: Range = { min: 0, max: 0xffff_ffff_ffff_ffffn }

/** For ranges within those of an exact number. */
export function optionalInteger(parent: Section, key: string, range: Range): number | undefined {
  const value = parent.json[key]
  return value === undefined || value === null ? undefined : requiredInteger(parent, key, range)
}

export function requiredInteger({ json, place }: Section, key: string, range: Range): number {
  const value = json[key]
  return isWithin(value, range) ? value : refuseInteger(value, fieldOf(place, key), range)
}

/** A list of integers; an absent one is empty. */
export function integersOf({ json, place }: Section, key: string, range: Range): readonly number[] {
  const list = json[key] ?? []
  if (!Array.isArray(list)) refuseType(list, fieldOf(place, key), 'a list')
  for (let i = 0; i < list.length; i++) {
    if (!isWithin(list[i], range)) refuseInteger(list[i], itemOf(fieldOf(place, key), i), range)
  }
  return list
}

export function optionalInteger64(parent: Section, key: string, range: Range): Integer64 | undefined {
  const value = parent.json[key]
  return value === undefined || value === null ? undefined : requiredInteger64(parent, key, range)
}

export function requiredInteger64({ json, place }: Section, key: string, range: Range): Integer64 {
  const value = json[key]
  if (isWithin(value, range)) return value
  if (typeof value === 'bigint' && value >= range.min && value <= range.max) return canonical(value)
  return refuseInteger(value, fieldOf(place, key), range)
}

/** The one form of an integer: a number where that is exact. */
export const canonical = (value: bigint): Integer64 => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

const isWithin = (value: unknown, range: Range): value is number =>
  Number.isSafeInteger(value) && (value as number) >= range.min && (value as number) <= range.max

function refuseInteger(value: unknown, place: Place, range: Range): never {
  if (typeof value !== 'number' && typeof value !== 'bigint') refuseType(value, place, 'an integer')
  if (typeof range.max === 'bigint' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    refuse(place, `is ${shown(value)}, which a JavaScript number does not hold exactly`, 'pass a bigint')
  }
  if (value < range.min) refuse(place, `is ${shown(value)}, which is less than ${range.min}`)
  if (value > range.max) refuse(place, `is ${shown(value)}, which is more than ${range.max}`)
  refuseType(value, place, 'an integer')
}
