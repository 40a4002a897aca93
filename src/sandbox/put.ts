/** One file of a box into its place elsewhere, and files out of their places. */

import { buffer, type Slot, slot } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  close,
  fchmod,
  fchown,
  fchownat,
  mkdirat,
  mknodat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  openat,
  openBeneath,
  renameIn,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  STATX_BASIC_STATS,
  STATX_CHANGED_NANOS,
  STATX_INODE,
  sendfile,
  statx,
  symlinkat,
  unlinkat,
  utimensat,
} from '../linux/files.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Ref, Step } from '../plan/plan.ts'
import type { Found } from './changes-node.ts'
import { type Looker, type Named, openPlace, type Place } from './listing-node.ts'
import { SEE } from './reach.ts'
import { parseStatus, STATUS_BYTES, type Status, type Time } from './status.ts'

export interface Put {
  readonly found: Found
  /** In TARGET. */
  readonly at: Named
  /** What is there now. */
  readonly there: Status | undefined
  readonly keepsSetId: boolean
}

const PARENT = slot('parent')
const SOURCE = slot('source')
const MADE = slot('made')
const WRITTEN = buffer('written', STATUS_BYTES)
/** sendfile(2) takes less than 2 GiB at once. */
const MOST_AT_ONCE = 1024 * 1024 * 1024
const REMOVED_AT_ONCE = 2000

/** Answers the time of its last change, in nanoseconds since 1970. */
export async function putFile(looker: Looker, put: Put): Promise<bigint> {
  const { box, operation, reach } = looker
  const { architecture } = box.machine.host
  const { change } = put.found
  const { name } = put.at
  const temporary = `.coffer-${box.machine.nextId()}`
  const at = { why: `write ${change.path}`, see: SEE }
  const inPlace: readonly Step[] =
    change.kind === 'directory'
      ? directorySteps(put, architecture)
      : [...makeSteps(put, temporary), ...stillThere(put), { call: renameIn(PARENT, temporary, name), ...at }]
  const report = await box.machine.executor.run({
    operation,
    steps: [
      ...reach,
      ...openParent(put.at, architecture),
      ...inPlace,
      { call: statx(PARENT, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, WRITTEN), ...at },
    ],
    reads: [WRITTEN],
  })
  return parseStatus(report.bytes(WRITTEN))?.changedNs ?? 0n
}

/** With the directories on the way to it, if there are none. */
function openParent({ place }: Pick<Named, 'place'>, architecture: Architecture): readonly Step[] {
  const directory = O_PATH | O_DIRECTORY[architecture]
  const { path } = place
  const open = (one: string, into: Slot): Step => ({
    call: openPlace({ ...place, path: one }, directory),
    why: `reach ${one} below where changes go to`,
    see: SEE,
    into,
  })
  const ways = path.split('/').map((name, index, all) => ({ name, above: all.slice(0, index).join('/') || '.' }))
  const make = ways.flatMap(({ name, above }): readonly Step[] => [
    open(above, PARENT),
    { call: mkdirat(PARENT, name, 0o755), why: `have the directory ${name}`, see: SEE, tolerate: ['EEXIST'] },
    { call: close(PARENT), why: 'be done with it', see: ['close(2)'] },
  ])
  return [
    path === '.'
      ? open(path, PARENT)
      : { ...open(path, PARENT), tolerate: ['ENOENT'], otherwise: [...make, open(path, PARENT)] },
  ]
}

function directorySteps({ found, at, there, keepsSetId }: Put, architecture: Architecture): readonly Step[] {
  const { path, mode, uid, gid } = found.change
  const why = `have the directory ${path}`
  const see: readonly Ref[] = ['mkdir(2)', ...SEE]
  return [
    ...(there === undefined ? [{ call: mkdirat(PARENT, at.name, 0o700), why, see }] : []),
    { call: openBeneath(PARENT, at.name, O_RDONLY | O_DIRECTORY[architecture]), why, see, into: MADE },
    { call: fchown(MADE, uid, gid), why: `give ${path} its owner`, see: ['chown(2)'] },
    { call: fchmod(MADE, modeOf(mode, keepsSetId)), why: `give ${path} its mode`, see: ['chmod(2)'] },
  ]
}

/** A program that has the rights of its owner is made by its owner, not by a box. */
const modeOf = (mode: number, keepsSetId: boolean): number => (keepsSetId ? mode : mode & 0o1777)

function makeSteps({ found, keepsSetId }: Put, temporary: string): readonly Step[] {
  const { change, status, from, name } = found
  const { path, uid, gid, mode } = change
  const at = { why: `write ${path}`, see: SEE }
  const undo: readonly Step[] = [
    {
      call: unlinkat(PARENT, temporary),
      why: `take back what was written for ${path}`,
      see: ['unlink(2)'],
      // It has its place already.
      tolerate: ['ENOENT'],
    },
  ]
  const times = timesOf(status.accessed, status.modified)
  const byName: readonly Step[] = [
    { call: fchownat(PARENT, temporary, uid, gid, AT_SYMLINK_NOFOLLOW), ...at },
    { call: utimensat(PARENT, temporary, times, AT_SYMLINK_NOFOLLOW), ...at },
  ]
  switch (change.kind) {
    case 'symlink':
      return [{ call: symlinkat(change.target ?? '', PARENT, temporary), ...at, undo }, ...byName]
    case 'fifo':
    case 'socket': {
      const kind = change.kind === 'fifo' ? S_IFIFO : S_IFSOCK
      return [{ call: mknodat(PARENT, temporary, kind | (mode & 0o777), 0), ...at, undo }, ...byName]
    }
    default:
      return [
        ...openSource(from, name, path),
        { call: openat(PARENT, temporary, O_CREAT | O_EXCL | O_WRONLY, 0o600), ...at, into: MADE, undo },
        ...copySteps(change.sizeBytes, path),
        { call: fchown(MADE, uid, gid), why: `give ${path} its owner`, see: ['chown(2)'] },
        { call: fchmod(MADE, modeOf(mode, keepsSetId)), why: `give ${path} its mode`, see: ['chmod(2)'] },
        { call: utimensat(MADE, 0, times), why: `give ${path} its times`, see: ['utimensat(2)'] },
      ]
  }
}

function openSource(from: Place, name: string, path: string): readonly Step[] {
  const status = buffer('source-status', STATUS_BYTES)
  const source = from.path === '.' ? name : `${from.path}/${name}`
  return [
    { call: openBeneath(from.base, source, O_RDONLY | O_NONBLOCK), why: `read ${path}`, see: SEE, into: SOURCE },
    {
      call: statx(SOURCE, '', AT_EMPTY_PATH, STATX_BASIC_STATS, status),
      why: `be sure that ${path} is a regular file`,
      see: ['statx(2)'],
      check: { in: status, offset: 28, sizeBytes: 2, mask: S_IFMT, equals: S_IFREG, errno: 'ESTALE' },
    },
  ]
}

const copySteps = (sizeBytes: number, path: string): readonly Step[] =>
  Array.from({ length: Math.ceil(sizeBytes / MOST_AT_ONCE) }, (_, index) => {
    const part = Math.min(MOST_AT_ONCE, sizeBytes - index * MOST_AT_ONCE)
    // Fewer bytes: the box made the file shorter meanwhile, or the disk is full.
    return {
      call: sendfile(MADE, SOURCE, part),
      why: `copy ${path}`,
      see: ['sendfile(2)'],
      check: { result: part, errno: 'ESTALE' },
    }
  })

/** What is about to be replaced is what was looked at: the same inode, not changed since. */
function stillThere({ found, at, there }: Put): readonly Step[] {
  if (there === undefined) return []
  const now = buffer('still', STATUS_BYTES)
  const look = {
    call: statx(PARENT, at.name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, now),
    why: `be sure that nobody changed ${found.change.path} meanwhile`,
    see: ['statx(2)'],
  }
  const nanos = Number(there.changedNs % 1_000_000_000n)
  return [
    { ...look, check: { in: now, offset: STATX_INODE, sizeBytes: 4, equals: there.inodeLow, errno: 'ESTALE' } },
    { ...look, check: { in: now, offset: STATX_CHANGED_NANOS, sizeBytes: 4, equals: nanos, errno: 'ESTALE' } },
  ]
}

/** Two of struct timespec. */
function timesOf(accessed: Time, modified: Time): Uint8Array {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  for (const [index, { seconds, nanos }] of [accessed, modified].entries()) {
    view.setBigInt64(index * 16, seconds, true)
    view.setUint32(index * 16 + 8, nanos, true)
  }
  return bytes
}

/** In this order. */
export async function removeAll(
  { box, operation, reach }: Looker,
  names: readonly (Named & { readonly status: Status })[],
): Promise<void> {
  const directory = O_PATH | O_DIRECTORY[box.machine.host.architecture]
  for (let from = 0; from < names.length; from += REMOVED_AT_ONCE) {
    const steps = names.slice(from, from + REMOVED_AT_ONCE).flatMap(({ place, name, status }): readonly Step[] => {
      const at = { why: `remove ${place.path}/${name}`, see: ['unlink(2)', ...SEE] }
      return [
        { call: openPlace(place, directory), ...at, into: PARENT },
        { call: unlinkat(PARENT, name, status.kind === 'directory' ? AT_REMOVEDIR : 0), ...at },
        { call: close(PARENT), ...at },
      ]
    })
    await box.machine.executor.run({ operation, steps: [...reach, ...steps] })
  }
}
