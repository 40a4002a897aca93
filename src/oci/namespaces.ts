/** Which namespaces a container makes or joins, and the clock offsets of a new time namespace. */

import { listOf, optionalPath, optionalSection, requiredWord, type Section, sectionOf } from '../base/field.ts'
import { INT64, type Integer64, optionalInteger, optionalInteger64, type Range } from '../base/integer.ts'
import { nearest } from '../base/nearest.ts'
import { fieldOf, itemOf, type Place, refuse, shown } from '../base/place.ts'

export const NAMESPACE_TYPES = ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'] as const
export type NamespaceType = (typeof NAMESPACE_TYPES)[number]

/** Joined if it has the `path` of a namespace file on the host, made anew if not. */
export interface Namespace {
  readonly type: NamespaceType
  readonly path?: string | undefined
}

/** Throws `invalid` for two of one type. Source: oci:runtime-spec/config-linux.md#namespaces */
export function namespacesOf(linux: Section): readonly Namespace[] {
  const namespaces = listOf(linux, 'namespaces', parseNamespace)
  for (let i = 1; i < namespaces.length; i++) {
    const type = namespaces[i]?.type
    if (namespaces.findIndex((other) => other.type === type) < i) {
      refuse(itemOf(fieldOf(linux.place, 'namespaces'), i), `is a second ${type} namespace, and a process is in one`)
    }
  }
  return namespaces
}

function parseNamespace(value: unknown, place: Place): Namespace {
  const section = sectionOf(value, place)
  return { type: requiredWord(section, 'type', NAMESPACE_TYPES), path: optionalPath(section, 'path') }
}

/** What a clock of a new time namespace shows more than that of the host: `secs` may be negative, `nanosecs` adds to it. */
export interface TimeOffset {
  readonly secs: Integer64
  readonly nanosecs: number
}

/** time_namespaces(7): only these two clocks have offsets. */
export interface TimeOffsets {
  readonly boottime?: TimeOffset | undefined
  readonly monotonic?: TimeOffset | undefined
}

const CLOCKS = ['boottime', 'monotonic'] as const
const NANOSECONDS: Range = { min: 0, max: 999_999_999 }

/** Source: oci:runtime-spec/config-linux.md#offset-for-time-namespace */
export function timeOffsetsOf(linux: Section): TimeOffsets | undefined {
  const section = optionalSection(linux, 'timeOffsets')
  if (section === undefined) return undefined
  for (const clock of Object.keys(section.json)) {
    if (!(CLOCKS as readonly string[]).includes(clock)) refuseClock(clock, section.place)
  }
  return { boottime: timeOffsetOf(section, 'boottime'), monotonic: timeOffsetOf(section, 'monotonic') }
}

// The keys of this map are values, clock names, so an unknown one is an error and not an unknown property.
function refuseClock(clock: string, place: Place): never {
  const guess = nearest(clock, CLOCKS)
  const hint =
    guess === undefined ? `the clocks with an offset are ${CLOCKS.join(' and ')}` : `did you mean "${guess}"?`
  refuse(place, `has an offset for ${shown(clock)}, which is no clock of a time namespace`, hint)
}

function timeOffsetOf(offsets: Section, clock: string): TimeOffset | undefined {
  const section = optionalSection(offsets, clock)
  if (section === undefined) return undefined
  return {
    secs: optionalInteger64(section, 'secs', INT64) ?? 0,
    nanosecs: optionalInteger(section, 'nanosecs', NANOSECONDS) ?? 0,
  }
}
