/**
 * Which namespaces the container gets: new ones by flags of clone3, existing ones by setns, and which need a process in between.
 *
 * | namespace | new                                             | joined                                     |
 * |-----------|-------------------------------------------------|--------------------------------------------|
 * | user      | clone3 of init; unshare in the stage            | setns in the stage, after the others       |
 * | cgroup    | unshare by init once it is in its cgroup        | setns in the stage                         |
 * | time      | unshare in the stage: it takes effect on children| setns in the stage                        |
 * | pid       | clone3 of init                                  | setns in the stage: it takes effect on children |
 * | others    | clone3 of init                                  | setns in the stage                         |
 *
 * Source: namespaces(7), clone(2), setns(2), time_namespaces(7)
 */

import { type Slot, sizeOf, slot } from '../linux/call.ts'
import { AT_FDCWD, O_RDONLY, O_WRONLY, openat, write } from '../linux/files.ts'
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  setdomainname,
  sethostname,
  setns,
  unshare,
} from '../linux/namespaces.ts'
import type { Namespace, NamespaceType, TimeOffsets } from '../oci/namespaces.ts'
import type { Ref, Step } from './plan.ts'

export const NAMESPACE_FLAGS: Readonly<Record<NamespaceType, number>> = {
  user: CLONE_NEWUSER,
  mount: CLONE_NEWNS,
  pid: CLONE_NEWPID,
  network: CLONE_NEWNET,
  uts: CLONE_NEWUTS,
  ipc: CLONE_NEWIPC,
  cgroup: CLONE_NEWCGROUP,
  time: CLONE_NEWTIME,
}

/** The questions that the rest of the plan asks of the list of namespaces. */
export interface NamespacePlan {
  readonly isNew: (type: NamespaceType) => boolean
  readonly isJoined: (type: NamespaceType) => boolean
  /** For clone3 of init, without CLONE_NEWUSER where the stage unshares that. */
  readonly cloneFlags: number
  /** A process between executor and init is needed. */
  readonly needsStage: boolean
  /** In the executor: open what is joined, while the host's paths are there. */
  readonly open: readonly Step[]
  /** In the stage, before a new user namespace takes the privilege over the host's namespaces away. */
  readonly join: readonly Step[]
}

export function planNamespaces(namespaces: readonly Namespace[]): NamespacePlan {
  const isNew = (type: NamespaceType): boolean => namespaces.some((one) => one.type === type && one.path === undefined)
  const isJoined = (type: NamespaceType): boolean =>
    namespaces.some((one) => one.type === type && one.path !== undefined)
  const joined = namespaces.filter(({ path }) => path !== undefined)
  const needsStage = joined.length > 0 || isNew('time')
  let cloneFlags = 0
  for (const { type } of namespaces) {
    // The cgroup namespace shows the cgroup it was made in as its root, so init makes it after it has joined its own.
    const byOthers = type === 'cgroup' || type === 'time' || (type === 'user' && needsStage)
    if (isNew(type) && !byOthers) cloneFlags += NAMESPACE_FLAGS[type]
  }
  // Last, because joining the others may need privilege that only the caller's user namespace gives; what failed is tried again in it.
  const order = [...joined.filter(({ type }) => type !== 'user'), ...joined.filter(({ type }) => type === 'user')]
  return { isNew, isJoined, cloneFlags, needsStage, open: joined.map(openNamespace), join: planJoin(order) }
}

/** A namespace to join, open in the executor and its children. */
export const namespaceFd = (type: NamespaceType): Slot => slot(`${type} namespace`)

const openNamespace = ({ type, path = '' }: Namespace): Step => ({
  call: openat(AT_FDCWD, path, O_RDONLY),
  why: `take the ${type} namespace of ${path}`,
  see: ['namespaces(7)'],
  into: namespaceFd(type),
})

/** With a user namespace to join, a refused setns is tried again behind it: the others may belong to it. */
function planJoin(order: readonly Namespace[]): readonly Step[] {
  const joinsUser = order.some(({ type }) => type === 'user')
  const enter = ({ type, path = '' }: Namespace): Step => ({
    call: setns(namespaceFd(type), NAMESPACE_FLAGS[type]),
    why: `enter the ${type} namespace ${path}`,
    see: ['setns(2)'],
  })
  if (!joinsUser) return order.map(enter)
  const others = order.filter(({ type }) => type !== 'user')
  const user = order.filter(({ type }) => type === 'user')
  return [
    ...others.map((one) => ({ ...enter(one), tolerate: ['EPERM'] as const })),
    ...user.map(enter),
    ...others.map((one) => ({ ...enter(one), tolerate: ['EPERM', 'EINVAL'] as const })),
  ]
}

/** In the stage: a new time namespace, whose clocks can be set only while nobody is in it. time_namespaces(7) */
export function planTimeNamespace(offsets: TimeOffsets): readonly Step[] {
  const see: readonly Ref[] = ['time_namespaces(7)']
  const lines = (['boottime', 'monotonic'] as const).flatMap((clock) => {
    const offset = offsets[clock]
    return offset === undefined ? [] : [`${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`]
  })
  const steps: Step[] = [{ call: unshare(CLONE_NEWTIME), why: 'give it clocks of its own', see }]
  if (lines.length === 0) return steps
  const fd = slot('timens-offsets')
  const why = 'set the offsets of its clocks'
  steps.push({ call: openat(AT_FDCWD, '/proc/self/timens_offsets', O_WRONLY), why, see, into: fd })
  steps.push({ call: write(fd, lines.join(''), lines.join('').length), why, see })
  return steps
}

/** In init, once it is in its cgroup. cgroup_namespaces(7) */
export const unshareCgroup: Step = {
  call: unshare(CLONE_NEWCGROUP),
  why: 'show its own cgroup as the root of all cgroups',
  see: ['cgroup_namespaces(7)'],
}

export interface Names {
  readonly hostname?: string | undefined
  readonly domainname?: string | undefined
}

export function planNames({ hostname, domainname }: Names): readonly Step[] {
  const steps: Step[] = []
  if (hostname !== undefined && hostname !== '')
    steps.push({
      call: sethostname(hostname, sizeOf(hostname)),
      why: `name it ${hostname}`,
      see: ['sethostname(2)'],
    })
  if (domainname !== undefined && domainname !== '')
    steps.push({
      call: setdomainname(domainname, sizeOf(domainname)),
      why: `put it into the domain ${domainname}`,
      see: ['setdomainname(2)'],
    })
  return steps
}
