/**
 * Stops all processes of a container where they are, and lets them go on.
 *
 * Both versions need time: v1 goes from FREEZING to FROZEN, v2 reports `frozen 1` in cgroup.events. The plan looks, waits, and looks again, in
 * steps that double from 1 ms to 512 ms; then it gives up, thaws, and reports ETIMEDOUT.
 *
 * Sources: kernel:admin-guide/cgroup-v1/freezer-subsystem.rst, kernel:admin-guide/cgroup-v2.rst "cgroup.freeze"
 */

import { OperationError } from '../base/errors.ts'
import { buffer, slot } from '../linux/call.ts'
import { readAgain, waitMs } from '../linux/cgroup.ts'
import { O_RDWR, openat } from '../linux/files.ts'
import { fileSlot, openToRead, putValue, type Reason, setFile, V1, V2 } from './cgroup-files.ts'
import { type CgroupDirectories, type Place, placesAt } from './cgroup-place.ts'
import type { Check, Step } from './plan.ts'

const TRIES = 10

/** Throws `unsupported` for a container without a cgroup that could be frozen. */
export function planFreeze(directories: CgroupDirectories): readonly Step[] {
  const place = freezerOf(directories)
  return place.version === 1 ? freezeInV1(place) : freezeInV2(place)
}

/** Throws as planFreeze. A cgroup that is not frozen stays so. */
export function planThaw(directories: CgroupDirectories): readonly Step[] {
  const place = freezerOf(directories)
  const [file, value, see] =
    place.version === 1 ? (['freezer.state', 'THAWED', SEE_V1] as const) : (['cgroup.freeze', '0', SEE_V2] as const)
  return setFile(place, file, value, { why: 'let its processes go on', see })
}

const SEE_V1 = [`${V1}/freezer-subsystem.rst`]
const SEE_V2 = [`${V2} "cgroup.freeze"`]

export const hasFreezer = (directories: CgroupDirectories): boolean => findFreezer(directories) !== undefined

function findFreezer(directories: CgroupDirectories): Place | undefined {
  const places = placesAt(directories)
  return (
    places.find(({ controllers }) => controllers.includes('freezer')) ?? places.find(({ version }) => version === 2)
  )
}

function freezerOf(directories: CgroupDirectories): Place {
  const place = findFreezer(directories)
  if (place !== undefined) return place
  throw new OperationError({
    kind: 'unsupported',
    operation: 'freeze the container',
    reason: 'it has no cgroup with a freezer',
  })
}

function freezeInV1(place: Place): readonly Step[] {
  const file = 'freezer.state'
  const reason: Reason = { why: 'stop its processes where they are', see: SEE_V1 }
  const state = buffer('freezer-state', 16)
  // FROZEN and FREEZING differ in their third letter.
  const isFrozen: Check = { in: state, offset: 2, sizeBytes: 1, equals: 'O'.charCodeAt(0), errno: 'ETIMEDOUT' }
  const put = putValue(file, 'FROZEN', reason)
  const look: Step = { call: readAgain(fileSlot(file), state), ...reason, check: isFrozen }
  const open: Step = { call: openat(place.at, `${place.path}/${file}`, O_RDWR), ...reason, into: fileSlot(file) }
  // Writing it again has the kernel look anew at tasks that could not be frozen before.
  return [open, { ...put, undo: [putValue(file, 'THAWED', thawing(SEE_V1))] }, ...untilFrozen(look, [put])]
}

function freezeInV2(place: Place): readonly Step[] {
  const reason: Reason = { why: 'stop its processes where they are', see: SEE_V2 }
  const events = buffer('cgroup-events', 64)
  const from = slot('cgroup.events')
  // "populated 1\nfrozen 1\n"; kernel/cgroup/cgroup.c, cgroup_events_show.
  const isFrozen: Check = { in: events, offset: 19, sizeBytes: 1, equals: '1'.charCodeAt(0), errno: 'ETIMEDOUT' }
  const look: Step = { call: readAgain(from, events), ...reason, check: isFrozen }
  const [open, put] = setFile(place, 'cgroup.freeze', '1', reason)
  if (open === undefined || put === undefined) return []
  return [
    openToRead(place.at, `${place.path}/cgroup.events`, from, reason),
    open,
    { ...put, undo: [putValue('cgroup.freeze', '0', thawing(SEE_V2))] },
    ...untilFrozen(look, []),
  ]
}

const thawing = (see: readonly string[]): Reason => ({ why: 'let its processes go on', see })

function untilFrozen(look: Step, again: readonly Step[]): readonly Step[] {
  let steps: readonly Step[] = [look]
  for (let attempt = TRIES - 1; attempt >= 0; attempt--) {
    const wait: Step = { call: waitMs(2 ** attempt), why: look.why, see: ['nanosleep(2)'] }
    steps = [{ ...look, tolerate: ['ETIMEDOUT'], otherwise: [wait, ...again, ...steps] }]
  }
  return steps
}
