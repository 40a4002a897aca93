/**
 * What was written in a box: the entries of its layer against what it started from.
 *
 * | in the layer                         | in the original | is                                                     |
 * |--------------------------------------|-----------------|--------------------------------------------------------|
 * | a file                               | none            | `added`                                                |
 * | a file                               | of its kind     | `modified`, if its content, mode or owner are others   |
 * | a file                               | of another kind | `deleted`, then `added`                                |
 * | a whiteout                           | a file          | `deleted`                                              |
 * | nothing, in an opaque directory      | a file          | `deleted`                                              |
 *
 * Source: kernel:filesystems/overlayfs.rst
 */

import type { LayerView } from './layer-view.ts'
import { type Listing, type Looked, type Looker, listAll, lookAtAll, type Named, type Place } from './listing-node.ts'
import { LAYER, ORIGIN, VIEW } from './reach.ts'
import type { FileKind, Status } from './status.ts'

export interface Change {
  readonly change: 'added' | 'modified' | 'deleted'
  /** Of the box, absolute. A directory that was deleted stands for all that was in it. */
  readonly path: string
  /** Of what is there now; of a file that was deleted, what it was. */
  readonly kind: FileKind
  /** Bytes of a file, now; 0 for what was deleted and for what is no file. */
  readonly sizeBytes: number
  /** Permissions. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of a symbolic link. */
  readonly target: string | undefined
  /** In the unified format, for files of text on both sides; undefined for others. */
  readonly diff: string | undefined
}

/** A change, and where its two sides are. */
export interface Found {
  readonly change: Change
  /** Its directory in the layer, or in the view. */
  readonly from: Place
  readonly name: string
  readonly status: Status
  /** Of the original. */
  readonly original: Status | undefined
}

/** A directory of the layer. */
interface Level {
  readonly from: Place
  /** In the box, without a slash at its end. */
  readonly path: string
  /** Whether there is something to compare it with. */
  readonly hasOriginal: boolean
  /** Names that are not compared, as they are no files of the layer. */
  readonly skips: ReadonlySet<string>
}

const NONE: ReadonlySet<string> = new Set()
export const placeOf = (base: Place['base'], path: string): Place => ({
  base,
  path: path.replace(/^\/+/, '') || '.',
})

/** Parents come before what is in them. */
export async function findChanges(looker: Looker, view: LayerView): Promise<readonly Found[]> {
  const found: Found[] = []
  let levels: readonly Level[] = [
    ...view.uppers.map(({ path, directory }) => ({
      from: { base: LAYER, path: directory },
      path,
      hasOriginal: true,
      skips: NONE,
    })),
    ...view.inMemory.map(({ path, parts }) => ({
      from: placeOf(VIEW, path),
      path,
      hasOriginal: true,
      skips: new Set(parts.map(({ name }) => name)),
    })),
  ]
  while (levels.length > 0) {
    const next: Level[] = []
    const listings = await listAll(
      looker,
      levels.map(({ from }) => from),
    )
    for (const seen of await compareLevels(looker, levels, listings)) {
      if (view.own.includes(pathIn(seen))) continue
      found.push(...foundIn(seen))
      const level = levelBelow(seen)
      if (level !== undefined) next.push(level)
    }
    found.push(...(await hiddenIn(looker, levels, listings)))
    levels = next
  }
  return withoutOwnParents(found, view.own)
}

interface Seen {
  readonly level: Level
  readonly name: string
  readonly now: Looked
  readonly original: Status | undefined
  readonly originalTarget: string | undefined
}

const pathIn = ({ level, name }: Pick<Seen, 'level' | 'name'>): string => `${level.path}/${name}`

async function compareLevels(
  looker: Looker,
  levels: readonly Level[],
  listings: readonly Listing[],
): Promise<readonly Seen[]> {
  const rows = levels.flatMap((level, index) =>
    (listings[index]?.entries ?? [])
      .filter(({ name }) => !level.skips.has(name))
      .map(({ name }): Named & { readonly level: Level } => ({ level, place: level.from, name })),
  )
  const now = await lookAtAll(looker, rows)
  const compared = rows.filter(({ level }) => level.hasOriginal)
  const places = new Map(levels.map((level) => [level, placeOf(ORIGIN, level.path)]))
  const originals = await lookAtAll(
    looker,
    compared.map(({ level, name }) => ({ place: places.get(level) ?? level.from, name })),
  )
  const originalOf = new Map(compared.map((row, index) => [row, originals[index]]))
  return rows.flatMap((row, index): readonly Seen[] => {
    const looked = now[index]
    // It went meanwhile.
    if (looked?.status === undefined) return []
    const original = originalOf.get(row)
    return [
      { level: row.level, name: row.name, now: looked, original: original?.status, originalTarget: original?.target },
    ]
  })
}

function foundIn(seen: Seen): readonly Found[] {
  const { now, original } = seen
  const { status } = now
  if (status === undefined) return []
  const deleted = original === undefined ? [] : [deletedOf(seen, original)]
  if (status.isWhiteout) return deleted
  if (original === undefined) return [changeOf(seen, 'added', status)]
  if (original.kind !== status.kind) return [...deleted, changeOf(seen, 'added', status)]
  return isSame(seen, status, original) ? [] : [changeOf(seen, 'modified', status)]
}

/** Contents of files are compared by withContents. */
const isSame = ({ now, originalTarget }: Seen, status: Status, original: Status): boolean =>
  (status.kind === 'directory' || (status.kind === 'symlink' && now.target === originalTarget)) &&
  status.mode === original.mode &&
  status.uid === original.uid &&
  status.gid === original.gid

function changeOf(seen: Seen, change: 'added' | 'modified', status: Status): Found {
  const { kind, mode, uid, gid } = status
  const sizeBytes = kind === 'file' ? status.sizeBytes : 0
  return {
    change: { change, path: pathIn(seen), kind, sizeBytes, mode, uid, gid, target: seen.now.target, diff: undefined },
    from: seen.level.from,
    name: seen.name,
    status,
    original: change === 'added' ? undefined : seen.original,
  }
}

function deletedOf({ level, name }: Pick<Seen, 'level' | 'name'>, original: Status): Found {
  const { kind, mode, uid, gid } = original
  const path = pathIn({ level, name })
  return {
    change: { change: 'deleted', path, kind, sizeBytes: 0, mode, uid, gid, target: undefined, diff: undefined },
    from: level.from,
    name,
    status: original,
    original,
  }
}

function levelBelow({ level, name, now, original }: Seen): Level | undefined {
  if (now.status?.kind !== 'directory') return undefined
  const { base, path } = level.from
  return {
    from: { base, path: path === '.' ? name : `${path}/${name}` },
    path: `${level.path}/${name}`,
    hasOriginal: original?.kind === 'directory',
    skips: NONE,
  }
}

/** What opaque directories hide. */
async function hiddenIn(
  looker: Looker,
  levels: readonly Level[],
  listings: readonly Listing[],
): Promise<readonly Found[]> {
  const opaque = levels.flatMap((level, index) => {
    const listing = listings[index]
    return level.hasOriginal && listing?.isOpaque ? [{ level, listing, place: placeOf(ORIGIN, level.path) }] : []
  })
  const originals = await listAll(
    looker,
    opaque.map(({ place }) => place),
  )
  const rows = opaque.flatMap(({ level, listing, place }, index) => {
    const kept = new Set(listing.entries.map(({ name }) => name))
    return (originals[index]?.entries ?? [])
      .filter(({ name }) => !kept.has(name))
      .map(({ name }) => ({ level, place, name }))
  })
  const looked = await lookAtAll(looker, rows)
  return rows.flatMap((row, index) => {
    const original = looked[index]?.status
    return original === undefined ? [] : [deletedOf(row, original)]
  })
}

/** A directory that coffer made on the way to a mount is no change of the box, unless the box wrote something there. */
function withoutOwnParents(found: readonly Found[], own: readonly string[]): readonly Found[] {
  const isWay = (path: string): boolean => own.some((one) => one.startsWith(`${path}/`))
  const hasInside = (path: string): boolean =>
    found.some(({ change }) => change.path.startsWith(`${path}/`) && !isWay(change.path))
  return found.filter(
    ({ change }) =>
      change.change !== 'added' || change.kind !== 'directory' || !isWay(change.path) || hasInside(change.path),
  )
}
