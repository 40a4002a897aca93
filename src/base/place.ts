/** Where a value stands in a document, and the errors that name that place. */

import { OperationError } from './errors.ts'

/** A document and a path in it, `config.json: linux.resources`; the whole document is `config.json: `. */
export type Place = string

export const fieldOf = (place: Place, key: string): Place => (place.endsWith(': ') ? place + key : `${place}.${key}`)

export const itemOf = (place: Place, index: number): Place => `${place}[${index}]`

/** The place of an entry of a map, whose keys are the user's words. */
export const entryOf = (place: Place, key: string): Place => `${place}[${JSON.stringify(key)}]`

/** The place without its document, for naming a second field in a message. */
export const pathOf = (place: Place): string => place.slice(place.indexOf(': ') + 2)

/** Throws `invalid`: "cannot read config.json: process.cwd <problem>". */
export function refuse(place: Place, problem: string, hint?: string): never {
  throw refusal('invalid', place, problem, hint)
}

/** Throws `unsupported`, for a valid demand that coffer does not meet. */
export function refuseUnsupported(place: Place, problem: string, hint?: string): never {
  throw refusal('unsupported', place, problem, hint)
}

/** Throws `invalid` for a value of the wrong type; `wanted` is the right one, e.g. `a string`. */
export function refuseType(value: unknown, place: Place, wanted: string): never {
  if (value === undefined || value === null) refuse(place, `is missing, and has to be ${wanted}`)
  refuse(place, `is ${shown(value)}, which is not ${wanted}`)
}

export function refuseRelative(path: string, place: Place): never {
  refuse(place, `is ${shown(path)}, which is not an absolute path`, 'begin it with a slash')
}

/** A value as a message shows it: short, and on one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

function refusal(
  kind: 'invalid' | 'unsupported',
  place: Place,
  problem: string,
  hint: string | undefined,
): OperationError {
  return new OperationError({
    kind,
    operation: `read ${place.slice(0, place.indexOf(': '))}`,
    reason: `${pathOf(place) || 'the document'} ${problem}`,
    ...(hint === undefined ? {} : { hint }),
  })
}
