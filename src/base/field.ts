/**
 * Reads the fields of a JSON document: each function takes one field and answers a precise value, or throws `invalid` with the field's path.
 *
 * `null` counts as absent, and so does the empty string where a word or a path is wanted, because Go's encoding/json, with which every
 * engine writes these documents, treats them alike. Properties that nobody asks for are ignored. Paths are put together only for an error.
 */

import { nearest } from './nearest.ts'
import { entryOf, fieldOf, itemOf, type Place, refuse, refuseRelative, refuseType, shown } from './place.ts'

/** An object of a document, and where it stands there. */
export interface Section {
  readonly json: { readonly [key: string]: unknown }
  readonly place: Place
}

const NONE: readonly never[] = []

const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null

// Objects, lists and maps

export function sectionOf(value: unknown, place: Place): Section {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuseType(value, place, 'an object')
  return { json: value as Section['json'], place }
}

export function optionalSection(parent: Section, key: string): Section | undefined {
  const value = parent.json[key]
  return isAbsent(value) ? undefined : sectionOf(value, fieldOf(parent.place, key))
}

/** The items of a list, each read by `parse`; an absent list is an empty one. */
export function listOf<T>(parent: Section, key: string, parse: (item: unknown, place: Place) => T): readonly T[] {
  const list = arrayOf(parent, key)
  if (list.length === 0) return NONE
  const place = fieldOf(parent.place, key)
  const items: T[] = []
  for (let i = 0; i < list.length; i++) items.push(parse(list[i], itemOf(place, i)))
  return items
}

/** The entries of a map, each read by `parse`; an absent map is an empty one. */
export function entriesOf<T>(
  parent: Section,
  key: string,
  parse: (name: string, value: unknown, place: Place) => T,
): readonly T[] {
  const map = optionalSection(parent, key)
  if (map === undefined) return NONE
  const { json, place } = map
  return Object.keys(json).map((name) => parse(name, json[name], entryOf(place, name)))
}

function arrayOf({ json, place }: Section, key: string): readonly unknown[] {
  const value = json[key]
  if (isAbsent(value)) return NONE
  if (!Array.isArray(value)) refuseType(value, fieldOf(place, key), 'a list')
  return value
}

// Text

export function optionalString({ json, place }: Section, key: string): string | undefined {
  const value = json[key]
  if (isAbsent(value) || value === '') return undefined
  return isString(value) ? value : refuseString(value, fieldOf(place, key))
}

export function requiredString({ json, place }: Section, key: string): string {
  const value = json[key]
  if (value === '') refuse(fieldOf(place, key), 'is empty')
  return isString(value) ? value : refuseString(value, fieldOf(place, key))
}

/** A value of a map that has to be a string; it may be empty. */
export const stringOf = (value: unknown, place: Place): string => (isString(value) ? value : refuseString(value, place))

/** A list of strings, which may be empty as an argument may; an absent list is an empty one. */
export function stringsOf(parent: Section, key: string): readonly string[] {
  const list = arrayOf(parent, key)
  for (let i = 0; i < list.length; i++) {
    if (!isString(list[i])) refuseString(list[i], itemOf(fieldOf(parent.place, key), i))
  }
  return list as readonly string[]
}

// Strings go to the kernel, which would take what stands before a NUL and nothing of the rest.
const isString = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0')

function refuseString(value: unknown, place: Place): never {
  if (typeof value !== 'string') refuseType(value, place, 'a string')
  refuse(place, `is ${shown(value)}, which has a NUL in it`, 'the kernel ends strings at a NUL; take it out')
}

// Paths

export function optionalPath(parent: Section, key: string): string | undefined {
  const path = optionalString(parent, key)
  if (path !== undefined && !isAbsolute(path)) refuseRelative(path, fieldOf(parent.place, key))
  return path
}

export function requiredPath(parent: Section, key: string): string {
  const path = requiredString(parent, key)
  if (!isAbsolute(path)) refuseRelative(path, fieldOf(parent.place, key))
  return path
}

/** A list of absolute paths; an absent list is an empty one. */
export function pathsOf(parent: Section, key: string): readonly string[] {
  const paths = stringsOf(parent, key)
  paths.forEach((path, i) => {
    if (!isAbsolute(path)) refuseRelative(path, itemOf(fieldOf(parent.place, key), i))
  })
  return paths
}

const SLASH = 0x2f
const isAbsolute = (path: string): boolean => path.charCodeAt(0) === SLASH

// Claims and words

/** A boolean; an absent one is false. */
export const booleanOf = (parent: Section, key: string): boolean => optionalBoolean(parent, key) ?? false

export function optionalBoolean(parent: Section, key: string): boolean | undefined {
  return isAbsent(parent.json[key]) ? undefined : requiredBoolean(parent, key)
}

export function requiredBoolean({ json, place }: Section, key: string): boolean {
  const value = json[key]
  return typeof value === 'boolean' ? value : refuseType(value, fieldOf(place, key), 'true or false')
}

/** One of `words`; for any other word the error offers the nearest. */
export function optionalWord<const Word extends string>(
  parent: Section,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const value = parent.json[key]
  return isAbsent(value) || value === '' ? undefined : requiredWord(parent, key, words)
}

export function requiredWord<const Word extends string>(
  { json, place }: Section,
  key: string,
  words: readonly Word[],
): Word {
  const value = json[key]
  return isOneOf(value, words) ? value : refuseWord(value, fieldOf(place, key), words)
}

/** A list of `words`; an absent one is empty. */
export function wordsOf<const Word extends string>(
  parent: Section,
  key: string,
  words: readonly Word[],
): readonly Word[] {
  const list = arrayOf(parent, key)
  for (let i = 0; i < list.length; i++) {
    if (!isOneOf(list[i], words)) refuseWord(list[i], itemOf(fieldOf(parent.place, key), i), words)
  }
  return list as readonly Word[]
}

const isOneOf = <Word extends string>(value: unknown, words: readonly Word[]): value is Word =>
  (words as readonly unknown[]).includes(value)

/** Throws `invalid` for a word that is not one of `words`, and offers the nearest. */
export function refuseWord(value: unknown, place: Place, words: readonly string[]): never {
  if (typeof value !== 'string') refuseType(value, place, 'a string')
  const guess = nearest(value, words)
  refuse(
    place,
    `is ${shown(value)}, which it cannot be`,
    guess === undefined ? `it is one of: ${words.join(', ')}` : `did you mean ${JSON.stringify(guess)}?`,
  )
}
