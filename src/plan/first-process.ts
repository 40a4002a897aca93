/**
 * How the first process of a container comes to be in its namespaces, with ids.
 *
 * | what is asked for                              | init is                  | the user namespace is made by            |
 * |------------------------------------------------|--------------------------|------------------------------------------|
 * | only new namespaces                            | a child of the executor  | clone3, before the others, which it owns |
 * | one is joined, or clocks are set               | left behind by the stage | the stage, behind what it joins          |
 * | a pid namespace is joined, the user one is new | left behind by the stage | init, behind what it mounts of that one  |
 *
 * Namespaces of others are entered with the privilege of the caller, before a new user namespace takes that away.
 */

import { buffer, type Slot } from '../linux/call.ts'
import { CLONE_NEWTIME, CLONE_NEWUSER, clone3, unshare } from '../linux/namespaces.ts'
import type { Host } from './host.ts'
import { allowMapping, becomeRoot, hide, idMapsOf, mapIds } from './idmap.ts'
import type { InitPlan } from './init.ts'
import type { NamespacePlan } from './namespaces.ts'
import type { Step } from './plan.ts'
import type { ContainerRequest } from './request.ts'
import { INIT_PID, INIT_PIDFD } from './slots.ts'
import { BE_KNOWN, endProcess, planStage, STAGE_PID } from './stage.ts'
import { hear, keepChildEnd, keepParentEnd, tell } from './turns.ts'

export interface FirstProcess {
  readonly request: ContainerRequest
  readonly namespaces: NamespacePlan
  readonly init: Pick<InitPlan, 'foreign' | 'steps'>
  readonly host: Host
}

/** For the executor; INIT_PID and INIT_PIDFD are set behind it. */
export function planFirstProcess(first: FirstProcess): readonly Step[] {
  const { namespaces } = first
  if (!namespaces.needsStage) return planChild(first)
  return namespaces.isNew('user') && namespaces.isJoined('pid') ? planLateUser(first) : planThroughStage(first)
}

function planChild({ request, namespaces, init, host }: FirstProcess): readonly Step[] {
  const { id } = request.place
  const userIsNew = namespaces.isNew('user')
  const pidfd = buffer('init-pidfd', 4)
  const { cloneInto } = request.cgroup
  return [
    ...(userIsNew ? allowMapping(host) : []),
    {
      call: clone3({ flags: namespaces.cloneFlags, pidfd, ...(cloneInto === undefined ? {} : { cgroup: cloneInto }) }),
      why: `make the first process of ${id} in its namespaces`,
      see: ['clone(2)', 'namespaces(7)'],
      into: INIT_PID,
      keep: [{ slot: INIT_PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [
        keepChildEnd,
        ...(userIsNew ? [hear('child', 'm', 'have ids in its user namespace'), ...becomeRoot] : []),
        ...init.steps,
      ],
      undo: endProcess(INIT_PIDFD, 'init'),
    },
    keepParentEnd,
    ...(userIsNew ? [...planMaps(request, host, INIT_PID), ...(host.canMapIds ? [] : [hide])] : []),
    ...(userIsNew ? [mapped] : []),
  ]
}

const planMaps = ({ config }: ContainerRequest, { canMapIds, hostUid, hostGid }: Host, pid: Slot): readonly Step[] =>
  mapIds({ ...idMapsOf(config.linux), pid, canMapIds, hostUid, hostGid })

const mapped = tell('executor', 'm', 'tell the process that it has ids')

/** For a process that makes a user namespace while the executor hears of it. */
const planUnshare = (id: string, flags: number): readonly Step[] => [
  {
    call: unshare(CLONE_NEWUSER + flags),
    why: `give ${id} users of its own`,
    see: ['user_namespaces(7)', 'unshare(2)'],
  },
  tell('child', 'u', 'ask for ids'),
  hear('child', 'm', 'have ids in its user namespace'),
  ...becomeRoot,
]

const planMeanwhile = (request: ContainerRequest, host: Host, pid: Slot): readonly Step[] => [
  hear('executor', 'u', 'have a user namespace to map ids into'),
  ...planMaps(request, host, pid),
  mapped,
]

function planThroughStage({ request, namespaces, init, host }: FirstProcess): readonly Step[] {
  const { id } = request.place
  const userIsNew = namespaces.isNew('user')
  return planStage({
    of: id,
    cgroup: request.cgroup.cloneInto,
    enter: [
      ...(userIsNew || namespaces.openOffsets.length > 0 ? allowMapping(host) : []),
      ...namespaces.openOffsets,
      ...namespaces.join,
      ...(userIsNew ? [...init.foreign, ...planUnshare(id, 0)] : []),
      ...(namespaces.isJoined('user') ? becomeRoot : []),
      ...namespaces.setOffsets,
    ],
    meanwhile: userIsNew ? planMeanwhile(request, host, STAGE_PID) : [],
    cloneFlags: namespaces.cloneFlags,
    child: [BE_KNOWN, ...init.steps],
  })
}

/** Only a child of the stage is in the joined pid namespace, and only in it can a procfs be mounted that shows it. */
function planLateUser({ request, namespaces, init, host }: FirstProcess): readonly Step[] {
  // unshare(2) of a time namespace would be for the children of init alone.
  const early = namespaces.cloneFlags & CLONE_NEWTIME
  const stage = planStage({
    of: request.place.id,
    cgroup: request.cgroup.cloneInto,
    enter: [...namespaces.openOffsets, ...namespaces.join, ...namespaces.setOffsets],
    meanwhile: [],
    cloneFlags: early,
    child: [
      BE_KNOWN,
      ...allowMapping(host),
      ...init.foreign,
      ...planUnshare(request.place.id, namespaces.cloneFlags - early),
      ...init.steps,
    ],
  })
  return [...stage, ...planMeanwhile(request, host, INIT_PID)]
}
