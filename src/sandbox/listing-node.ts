/** Lists directories, and asks for the status of their entries: many in one plan. */

import { OperationError } from '../base/errors.ts'
import type { Report } from '../executor/report.ts'
import { buffer, type Call, type Buffer as PlanBuffer, type Slot, slot } from '../linux/call.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  close,
  fgetxattr,
  getdents64,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  openat2,
  openBeneath,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  readlinkat,
  STATX_BASIC_STATS,
  statx,
} from '../linux/files.ts'
import { textOf } from '../observe/files-node.ts'
import type { Step } from '../plan/plan.ts'
import type { BoxState } from './box-state.ts'
import { type Entry, parseEntries } from './directory-entries.ts'
import { SEE } from './reach.ts'
import { parseStatus, STATUS_BYTES, type Status } from './status.ts'

/** A directory below one that is held: LAYER, VIEW, ORIGIN or TARGET. */
export interface Place {
  readonly base: Slot
  /** Relative to it, without a slash at either end; `.` is itself. */
  readonly path: string
  /** Whether other mounts may be on the way: in the view of a box, which may be put together of several. */
  readonly crossesMounts?: boolean | undefined
}

/** Opens it strictly below its base, through no symbolic link. */
export const openPlace = ({ base, path, crossesMounts = false }: Place, flags: number): Call =>
  crossesMounts ? openat2(base, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS) : openBeneath(base, path, flags)

export interface Looker {
  readonly box: BoxState
  readonly operation: string
  /** Opens the bases: openReach. */
  readonly reach: readonly Step[]
  /** Ends it between two looks. */
  readonly signal?: AbortSignal | undefined
}

export interface Listing {
  readonly entries: readonly Entry[]
  /** Nothing of the layer below shows: kernel:filesystems/overlayfs.rst "whiteouts and opaque directories" */
  readonly isOpaque: boolean
}

const DIRECTORY = slot('directory')
const USUAL_BYTES = 16 * 1024
const MOST_BYTES = 8 * 1024 * 1024
const DIRECTORIES_AT_ONCE = 64
const ENTRIES_AT_ONCE = 256
/** PATH_MAX. */
const LINK_BYTES = 4096

/** A directory that is not there, or no longer one, has nothing in it. */
export async function listAll(looker: Looker, places: readonly Place[]): Promise<readonly Listing[]> {
  const all: Listing[] = []
  for (let at = 0; at < places.length; at += DIRECTORIES_AT_ONCE)
    all.push(...(await listSome(looker, places.slice(at, at + DIRECTORIES_AT_ONCE), USUAL_BYTES)))
  return all
}

async function listSome(looker: Looker, places: readonly Place[], sizeBytes: number): Promise<readonly Listing[]> {
  const rows = places.map((place, index) => ({
    place,
    entries: buffer(`entries#${index}`, sizeBytes),
    length: slot(`length#${index}`),
    more: slot(`more#${index}`),
    opaque: buffer(`opaque#${index}`, 8),
  }))
  const why = looker.operation
  const steps = rows.flatMap(({ place, entries, length, more, opaque }) =>
    inDirectory(looker, place, O_RDONLY, [
      { call: getdents64(DIRECTORY, entries), why, see: ['getdents64(2)'], into: length },
      { call: getdents64(DIRECTORY, buffer('more', 512)), why, see: ['getdents64(2)'], into: more },
      {
        call: fgetxattr(DIRECTORY, opaqueAttribute(looker.box), opaque),
        why,
        see: ['getxattr(2)'],
        tolerate: ['ENODATA', 'EOPNOTSUPP'],
      },
    ]),
  )
  const report = await run(looker, steps, {
    returns: rows.flatMap(({ length, more }) => [length, more]),
    reads: rows.flatMap(({ entries, opaque }) => [entries, opaque]),
  })
  const listings: Listing[] = []
  for (const { place, entries, length, more, opaque } of rows) {
    const used = Math.max(0, report.slot(length))
    if (report.slot(more) > 0 && sizeBytes < MOST_BYTES) listings.push(...(await listSome(looker, [place], MOST_BYTES)))
    else if (report.slot(more) > 0) throw tooMany(looker, place)
    else
      listings.push({
        entries: parseEntries(report.bytes(entries).subarray(0, used), textOf),
        isOpaque: report.bytes(opaque)[0] === 0x79,
      })
  }
  return listings
}

/** Overlay keeps its notes in attributes that the box's own root may set: plan/overlay.ts. */
const opaqueAttribute = ({ machine }: BoxState): string =>
  machine.host.isRootless ? 'user.overlay.opaque' : 'trusted.overlay.opaque'

export interface Named {
  readonly place: Place
  readonly name: string
}

export interface Looked {
  readonly status: Status | undefined
  /** Of a symbolic link. */
  readonly target: string | undefined
}

/** What each name is; undefined for one that is not there. */
export async function lookAtAll(looker: Looker, names: readonly Named[]): Promise<readonly Looked[]> {
  const all: Looked[] = []
  for (let at = 0; at < names.length; at += ENTRIES_AT_ONCE)
    all.push(...(await lookAtSome(looker, names.slice(at, at + ENTRIES_AT_ONCE))))
  return all
}

async function lookAtSome(looker: Looker, names: readonly Named[]): Promise<readonly Looked[]> {
  const rows = names.map((named, index) => ({ named, status: buffer(`status#${index}`, STATUS_BYTES) }))
  const report = await run(looker, stepsFor(looker, rows), { reads: rows.map(({ status }) => status) })
  const found = rows.map(({ status }) => parseStatus(report.bytes(status)))
  const targets = await readLinks(
    looker,
    names.filter((_, index) => found[index]?.kind === 'symlink'),
  )
  let next = 0
  return found.map((status) => ({ status, target: status?.kind === 'symlink' ? targets[next++] : undefined }))
}

interface Row {
  readonly named: Named
  readonly status: PlanBuffer
}

/** Names of one directory stand together, so that it is opened once. */
function stepsFor(looker: Looker, rows: readonly Row[]): readonly Step[] {
  const groups: { readonly place: Place; readonly inside: Step[] }[] = []
  for (const { named, status } of rows) {
    const { place, name } = named
    let group = groups.at(-1)
    if (group?.place !== place) {
      group = { place, inside: [] }
      groups.push(group)
    }
    group.inside.push({
      call: statx(DIRECTORY, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, status),
      why: looker.operation,
      see: ['statx(2)'],
      tolerate: ['ENOENT', 'EACCES'],
    })
  }
  return groups.flatMap(({ place, inside }) => inDirectory(looker, place, O_PATH, inside))
}

async function readLinks(looker: Looker, names: readonly Named[]): Promise<readonly string[]> {
  if (names.length === 0) return []
  const rows = names.map((named, index) => ({
    named,
    target: buffer(`target#${index}`, LINK_BYTES),
    length: slot(`target-length#${index}`),
  }))
  const steps = rows.flatMap(({ named: { place, name }, target, length }) =>
    inDirectory(looker, place, O_PATH, [
      {
        call: readlinkat(DIRECTORY, name, target),
        why: looker.operation,
        see: ['readlink(2)'],
        into: length,
        // It was replaced meanwhile.
        tolerate: ['ENOENT', 'EINVAL'],
      },
    ]),
  )
  const report = await run(looker, steps, {
    returns: rows.map(({ length }) => length),
    reads: rows.map(({ target }) => target),
  })
  return rows.map(({ target, length }) => textOf(report.bytes(target).subarray(0, Math.max(0, report.slot(length)))))
}

/** EXDEV: something is mounted there, which no overlay shows. EACCES: the caller may not look into it, and so nor may the box. */
const inDirectory = ({ box, operation }: Looker, place: Place, flags: number, inside: readonly Step[]) => [
  {
    call: openPlace(place, flags | O_DIRECTORY[box.machine.host.architecture]),
    why: operation,
    see: SEE,
    into: DIRECTORY,
    tolerate: ['ENOENT', 'ENOTDIR', 'EXDEV', 'EACCES'] as const,
    then: [...inside, { call: close(DIRECTORY), why: operation, see: ['close(2)'] }],
  },
]

async function run(
  { box, operation, reach, signal }: Looker,
  steps: readonly Step[],
  back: { readonly returns?: readonly Slot[]; readonly reads?: readonly PlanBuffer[] },
): Promise<Report> {
  signal?.throwIfAborted()
  return box.machine.executor.run({ operation, steps: [...reach, ...steps], ...back })
}

const tooMany = ({ operation }: Looker, { path }: Place): OperationError =>
  new OperationError({
    kind: 'exhausted',
    operation,
    reason: `a directory has more entries than fit into ${MOST_BYTES} bytes`,
    path,
  })
