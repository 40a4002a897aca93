/** Lists of processors and memory nodes as the kernel writes them, `0-3,8`. cpuset(7) "List format" */

import { optionalString, type Section } from '../base/field.ts'
import { fieldOf, type Place, refuse, shown } from '../base/place.ts'

/** The numbers from `first` to `last`, both included. */
export interface NumberRange {
  readonly first: number
  readonly last: number
}

// Far beyond NR_CPUS (8,192) and MAX_NUMNODES (1,024) of any kernel configuration, and a mask of 8 KiB.
const LAST_MAX = 0xffff

/** The ranges of a list; undefined if it is absent or has none. Blanks and empty items are allowed, as runc does. */
export function numberRangesOf(parent: Section, key: string): readonly NumberRange[] | undefined {
  const text = optionalString(parent, key)
  if (text === undefined) return undefined
  const ranges: NumberRange[] = []
  for (const item of text.split(',')) {
    if (item.trim() !== '') ranges.push(parseRange(item.trim(), text, fieldOf(parent.place, key)))
  }
  return ranges.length === 0 ? undefined : ranges
}

function parseRange(item: string, text: string, place: Place): NumberRange {
  const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(item)
  if (match === null) refuse(place, `is ${shown(text)}, which is not a list of numbers`, 'write it like 0-3,8')
  const first = Number(match[1])
  const last = match[2] === undefined ? first : Number(match[2])
  if (last < first) refuse(place, `has the range ${item}, whose end is before its start`)
  if (last > LAST_MAX) refuse(place, `has ${last}, which is more than ${LAST_MAX}`)
  return { first, last }
}
