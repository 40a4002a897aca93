/** The id maps that the flags of unshare ask for. */

import { type Parsed, usage } from '../base/flags.ts'
import { readGidMap, readUidMap } from '../observe/process.ts'
import { readSubIds, type SubIdRange } from '../observe/subids.ts'
import { parsePasswd } from '../observe/users.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import type { UnshareMaps } from '../plan/unshare.ts'
import type { Caller } from './tool.ts'
import { gidOf, uidOf } from './words.ts'

export interface Mapper {
  /** Effective, of the caller. */
  readonly uid: number
  readonly gid: number
  /** CAP_SETUID and CAP_SETGID, so that a child may write any map. */
  readonly canMap: boolean
  readonly tool: string
}

/** Undefined without a flag that maps; then no id of the new namespace is anybody's. */
export function mapsOf(given: Parsed, caller: Caller, mapper: Mapper): UnshareMaps | undefined {
  const single = singleIds(given, caller, mapper)
  const users = rangesOf(given, caller, mapper, 'users')
  const groups = rangesOf(given, caller, mapper, 'groups')
  const uid = withSingle(users, single.uid, mapper.uid)
  const gid = withSingle(groups, single.gid, mapper.gid)
  if (uid.length + gid.length === 0) return undefined
  const by = (ranges: readonly IdMapping[]): 'own' | 'direct' | 'mapper' => {
    if (ranges.length === 0) return 'own'
    return mapper.canMap ? 'direct' : 'mapper'
  }
  return { uid, gid, by: { uid: by(users), gid: by(groups) } }
}

function singleIds(
  given: Parsed,
  caller: Caller,
  { uid, gid, tool }: Mapper,
): { readonly uid: number | undefined; readonly gid: number | undefined } {
  const user = given.string('map-user')
  const group = given.string('map-group')
  const both = (): { uid: number; gid: number } | undefined => {
    if (given.bool('map-root-user')) return { uid: 0, gid: 0 }
    return given.bool('map-current-user') ? { uid, gid } : undefined
  }
  const base = both()
  return {
    uid: user === undefined ? base?.uid : uidOf(caller, user, { where: '--map-user', tool }),
    gid: group === undefined ? base?.gid : gidOf(caller, group, { where: '--map-group', tool }),
  }
}

/** One id of the caller beside ranges: the ranges have a hole where it is inside, and lose what they have of it outside. */
function withSingle(ranges: readonly IdMapping[], inside: number | undefined, outside: number): readonly IdMapping[] {
  if (inside === undefined) return ranges
  const own = { containerID: inside, hostID: outside, size: 1 }
  return [own, ...ranges.flatMap((range) => without(range, inside, outside))].sort(
    (a, b) => a.containerID - b.containerID,
  )
}

/** As unshare(1): ids behind the hole move up by one inside, so that none of the range outside is lost but the last. */
function without(range: IdMapping, inside: number, outside: number): readonly IdMapping[] {
  const before = Math.min(Math.max(inside - range.containerID, 0), range.size)
  const covers = inside >= range.containerID && inside < range.containerID + range.size
  const parts = covers
    ? [
        { ...range, size: before },
        { containerID: inside + 1, hostID: range.hostID + before, size: range.size - before - 1 },
      ]
    : [range]
  return parts.flatMap((part) => withoutOutside(part, outside)).filter(({ size }) => size > 0)
}

function withoutOutside(range: IdMapping, outside: number): readonly IdMapping[] {
  const at = outside - range.hostID
  if (at < 0 || at >= range.size) return [range]
  return [
    { ...range, size: at },
    { containerID: range.containerID + at + 1, hostID: outside + 1, size: range.size - at - 1 },
  ]
}

function rangesOf(given: Parsed, caller: Caller, mapper: Mapper, kind: 'users' | 'groups'): readonly IdMapping[] {
  const words = given.bool('map-auto') ? ['auto', ...given.list(`map-${kind}`)] : given.list(`map-${kind}`)
  return words.flatMap((word) => {
    if (word === 'auto') return [autoRange(caller, mapper, kind)]
    if (word === 'all') return allRanges(caller, kind)
    return [rangeOf(word, kind, mapper.tool)]
  })
}

/** Colons: inside, outside, count, as in /proc/PID/uid_map. Commas: outside, inside, count, as unshare(1) before 2.39. */
function rangeOf(word: string, kind: string, tool: string): IdMapping {
  const [, a, separator, b, count] = /^(\d+)([:,])(\d+)\2(\d+)$/.exec(word) ?? []
  if (a === undefined || b === undefined || count === undefined || Number(count) < 1)
    throw usage(tool, `--map-${kind} is "${word}"`, `give INSIDE:OUTSIDE:COUNT, e.g. --map-${kind}=0:100000:65536`)
  const [first, second] = [Number(a), Number(b)]
  return separator === ':'
    ? { containerID: first, hostID: second, size: Number(count) }
    : { containerID: second, hostID: first, size: Number(count) }
}

function autoRange(caller: Caller, { uid, tool }: Mapper, kind: 'users' | 'groups'): IdMapping {
  const name = parsePasswd(caller.files.readText('/etc/passwd') ?? '').find((entry) => entry.uid === uid)?.name
  const found = readSubIds(caller.files, { uid, ...(name === undefined ? {} : { name }) })
  const [range]: readonly SubIdRange[] = kind === 'users' ? found.uids : found.gids
  const file = kind === 'users' ? '/etc/subuid' : '/etc/subgid'
  if (range === undefined)
    throw usage(
      tool,
      `--map-${kind}=auto takes a range from ${file}, and it has none for ${name ?? uid}`,
      `usermod --add-sub${kind === 'users' ? 'uids' : 'gids'} 100000-165535 ${name ?? uid}`,
    )
  return { containerID: 0, hostID: range.hostId, size: range.size }
}

/** Every id of the caller's own namespace is itself. */
function allRanges({ files }: Caller, kind: 'users' | 'groups'): readonly IdMapping[] {
  const ranges = (kind === 'users' ? readUidMap(files, 'self') : readGidMap(files, 'self')) ?? []
  return ranges.map(({ containerId, size }) => ({ containerID: containerId, hostID: containerId, size }))
}
