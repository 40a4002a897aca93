/** Ranges of user or group ids that a user namespace, or an idmapped mount, translates. */

import { listOf, type Section, sectionOf } from '../base/field.ts'
import { type Range, requiredInteger, UINT32 } from '../base/integer.ts'
import { fieldOf, itemOf, type Place, pathOf, refuse } from '../base/place.ts'

/** `size` ids: `containerID` is `hostID` outside, the next one is the next one, and so on. */
export interface IdMapping {
  readonly containerID: number
  readonly hostID: number
  readonly size: number
}

/** The ids there are. 4294967295 is (uid_t)-1, which setresuid(2) and chown(2) read as "leave it alone". */
export const ID: Range = { min: 0, max: 0xffff_fffe }

const ID_COUNT = 0xffff_ffff
// user_namespaces(7): since Linux 4.15 a map has at most 340 lines.
const LINES_MAX = 340

/**
 * The mappings of a list. Throws `invalid` where the kernel would refuse the map as a whole: empty, overlapping or too many ranges.
 *
 * Source: oci:runtime-spec/config-linux.md#user-namespace-mappings, user_namespaces(7)
 */
export function idMappingsOf(parent: Section, key: string): readonly IdMapping[] {
  const mappings = listOf(parent, key, parseIdMapping)
  if (mappings.length < 2) return mappings
  const place = fieldOf(parent.place, key)
  if (mappings.length > LINES_MAX) refuse(place, `has ${mappings.length} ranges; the kernel takes ${LINES_MAX}`)
  refuseOverlap(mappings, 'containerID', place)
  refuseOverlap(mappings, 'hostID', place)
  return mappings
}

function parseIdMapping(value: unknown, place: Place): IdMapping {
  const section = sectionOf(value, place)
  const containerID = requiredInteger(section, 'containerID', UINT32)
  const hostID = requiredInteger(section, 'hostID', UINT32)
  const size = requiredInteger(section, 'size', UINT32)
  if (size === 0) refuse(fieldOf(place, 'size'), 'is 0, which maps nothing')
  if (containerID + size > ID_COUNT) refuse(place, `ends beyond ${ID.max}, the last id inside the container`)
  if (hostID + size > ID_COUNT) refuse(place, `ends beyond ${ID.max}, the last id of the host`)
  return { containerID, hostID, size }
}

function refuseOverlap(mappings: readonly IdMapping[], side: 'containerID' | 'hostID', place: Place): void {
  const order = mappings.map((_, index) => index)
  const start = (index: number): number => mappings[index]?.[side] ?? 0
  order.sort((a, b) => start(a) - start(b))
  let last = -1
  let lastEnd = 0
  for (const index of order) {
    if (last >= 0 && start(index) < lastEnd) {
      const [first, second] = [Math.min(last, index), Math.max(last, index)]
      refuse(itemOf(place, second), `has a ${side} in the range of ${pathOf(itemOf(place, first))}`)
    }
    last = index
    lastEnd = start(index) + (mappings[index]?.size ?? 0)
  }
}

/** True if one of the ranges has this id inside the container. */
export const isMapped = (mappings: readonly IdMapping[], containerId: number): boolean =>
  mappings.some(({ containerID, size }) => containerId >= containerID && containerId < containerID + size)
