/**
 * Brings changes of a box to a directory: to what the box started from, to another one, or into the view of another box.
 *
 * All that could be refused is looked at first, and then nothing has been written. Behind that each file is written beside its place and takes
 * it in one rename(2); between the two looks at a file that is replaced the kernel is asked once more whether it is still that one.
 */

import { OperationError } from '../base/errors.ts'
import { slot } from '../linux/call.ts'
import { close, O_DIRECTORY, O_PATH } from '../linux/files.ts'
import type { Step } from '../plan/plan.ts'
import { type Change, type Found, findChanges, placeOf } from './changes-node.ts'
import { below } from './contents-node.ts'
import { isControlFile } from './control-files.ts'
import type { LayerView } from './layer-view.ts'
import { type Looker, listAll, lookAtAll, type Named, openPlace, type Place } from './listing-node.ts'
import { type Put, putFile, removeAll } from './put.ts'
import { SEE, TARGET } from './reach.ts'
import type { FileKind, Status } from './status.ts'

export interface Applying {
  readonly looker: Looker
  readonly view: LayerView
  readonly filter: (change: Change) => boolean
  /** What changed in the target behind this time is not replaced; undefined: everything is. Nanoseconds since 1970. */
  readonly since: bigint | undefined
  /** What was applied before, by path: when it changed by that. */
  readonly applied: Map<string, bigint>
  /** Whether the target is where the box started from, so that what was modified has to be there. */
  readonly isOrigin: boolean
  /** Whether set-id bits, fifos and sockets go along. */
  readonly isBox: boolean
  readonly controlFiles: boolean
}

/** A change, and what is in its place. */
interface Planned extends Put {
  /** What has to go first, deepest first. */
  readonly removes: readonly Present[]
}

interface Present extends Named {
  readonly status: Status
}

/** Answers what was applied. */
export async function applyChanges(applying: Applying): Promise<readonly Change[]> {
  const { looker, view, filter, isBox, applied } = applying
  const found = (await findChanges(looker, view)).filter(({ change }) => filter(change))
  if (!isBox) for (const { change } of found) refuseKind(change, looker)
  if (!applying.controlFiles) for (const { change } of found) refuseControl(change, looker)
  const planned = await planAll(applying, found)
  await reachParents(applying, found)
  for (const one of planned) refuseChanged(applying, one)
  looker.signal?.throwIfAborted()
  // Half of what was asked for is wanted by nobody; but a box that is being filled is thrown away.
  const putter: Looker = isBox ? looker : { ...looker, signal: undefined }
  for (const { removes } of planned.toReversed()) await removeAll(putter, removes)
  for (const one of planned.filter(({ found: { change } }) => change.change !== 'deleted')) {
    putter.signal?.throwIfAborted()
    applied.set(one.found.change.path, await putFile(putter, one))
  }
  return found.map(({ change }) => change)
}

const PORTABLE: readonly FileKind[] = ['file', 'directory', 'symlink']

function refuseKind({ change, kind, path }: Change, { operation }: Looker): void {
  if (change === 'deleted' || PORTABLE.includes(kind)) return
  throw new OperationError({
    kind: 'unsupported',
    operation,
    reason: `${path} is a ${kind}, which is of no use outside of its box`,
    path,
    hint: 'leave it out with a filter',
  })
}

function refuseControl(change: Change, { operation }: Looker): void {
  if (!isControlFile(change)) return
  throw new OperationError({
    kind: 'denied',
    operation,
    reason: `programs of this machine run what is in ${change.path} by themselves`,
    path: change.path,
    hint: 'leave it out with a filter, or look at it and apply with { controlFiles: true }',
  })
}

async function planAll({ looker, isBox }: Applying, found: readonly Found[]): Promise<readonly Planned[]> {
  const names = found.map(({ change }) => targetOf(change.path, isBox))
  const looked = await lookAtAll(looker, names)
  const goes = new Set(found.flatMap(({ change }) => (change.change === 'deleted' ? [change.path] : [])))
  const planned: Planned[] = []
  for (const [index, one] of found.entries()) {
    const { change, path, kind } = one.change
    const at = names[index] ?? targetOf(path, isBox)
    const status = looked[index]?.status
    // What is deleted before is not there when the other comes.
    const there = change !== 'deleted' && goes.has(path) ? undefined : status
    const isInTheWay = there !== undefined && (there.kind === 'directory') !== (kind === 'directory')
    const removes =
      there === undefined || (change !== 'deleted' && !isInTheWay)
        ? []
        : [...(await inside(looker, at, there)), { ...at, status: there }]
    planned.push({ found: one, at, there: isInTheWay ? undefined : there, removes, keepsSetId: isBox })
  }
  return planned
}

function targetOf(path: string, crossesMounts: boolean): Named {
  const slash = path.lastIndexOf('/')
  return { place: { ...placeOf(TARGET, path.slice(0, slash)), crossesMounts }, name: path.slice(slash + 1) }
}

/** All that is below, deepest first. */
async function inside(looker: Looker, { place, name }: Named, status: Status): Promise<readonly Present[]> {
  if (status.kind !== 'directory') return []
  const all: Present[] = []
  let places: readonly Place[] = [below(place, name)]
  while (places.length > 0) {
    const listings = await listAll(looker, places)
    const names = places.flatMap((directory, index) =>
      (listings[index]?.entries ?? []).map((entry): Named => ({ place: directory, name: entry.name })),
    )
    const looked = await lookAtAll(looker, names)
    const present = names.flatMap((named, index): readonly Present[] => {
      const found = looked[index]?.status
      return found === undefined ? [] : [{ ...named, status: found }]
    })
    all.push(...present)
    places = present.filter((one) => one.status.kind === 'directory').map((one) => below(one.place, one.name))
  }
  return all.toReversed()
}

/** A symbolic link, another mount or a file where a directory has to be is met before anything is written. */
async function reachParents({ looker, isBox }: Applying, found: readonly Found[]): Promise<void> {
  const { box, operation, reach } = looker
  const made = new Set(found.flatMap(({ change }) => (change.change === 'added' ? [change.path] : [])))
  const isMade = (path: string): boolean =>
    made.has(path) || (path.lastIndexOf('/') > 0 && isMade(path.slice(0, path.lastIndexOf('/'))))
  const parents = [...new Set(found.map(({ change }) => change.path.slice(0, change.path.lastIndexOf('/'))))]
  const steps = parents
    .filter((path) => !isMade(path))
    .flatMap((path): readonly Step[] => [
      {
        call: openPlace(
          { ...placeOf(TARGET, path), crossesMounts: isBox },
          O_PATH | O_DIRECTORY[box.machine.host.architecture],
        ),
        why: `reach ${path || '/'} below where changes go to`,
        see: SEE,
        into: PARENT,
        // Then it is made.
        tolerate: ['ENOENT'],
        then: [{ call: close(PARENT), why: 'be done with it', see: ['close(2)'] }],
      },
    ])
  for (let from = 0; from < steps.length; from += PARENTS_AT_ONCE)
    await box.machine.executor.run({ operation, steps: [...reach, ...steps.slice(from, from + PARENTS_AT_ONCE)] })
}

const PARENT = slot('parent')
const PARENTS_AT_ONCE = 2000

function refuseChanged(applying: Applying, planned: Planned): void {
  const { looker, since, applied } = applying
  if (since === undefined) return
  // The time of a directory changes with what is in it.
  const isNew = (path: string, { kind, changedNs }: Status): boolean =>
    kind !== 'directory' && changedNs > since && applied.get(path) !== changedNs
  const { change } = planned.found
  for (const { place, name, status } of planned.removes) {
    const path = `/${below(place, name).path}`
    if (change.change !== 'deleted' || isNew(path, status)) throw conflict(looker, path, 'was changed')
  }
  const problem = problemOf(applying, planned, isNew)
  if (problem !== undefined) throw conflict(looker, change.path, problem)
}

/** What happened to the place of a change. */
function problemOf(
  { applied, isOrigin }: Applying,
  { found: { change, original }, there }: Planned,
  isNew: (path: string, status: Status) => boolean,
): string | undefined {
  if (there === undefined) return change.change === 'modified' && isOrigin ? 'was removed' : undefined
  if (change.change !== 'added')
    return there.kind !== original?.kind || isNew(change.path, there) ? 'was changed' : undefined
  const areDirectories = there.kind === 'directory' && change.kind === 'directory'
  const isOurs = applied.get(change.path) === there.changedNs
  return isOurs || areDirectories ? undefined : 'was made'
}

const conflict = ({ operation }: Looker, path: string, problem: string): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation,
    reason: `${path} ${problem} since the box was made`,
    path,
    hint: 'look at both, then apply with { overwrite: true }, or leave it out with a filter',
  })
