/**
 * Which namespaces the container gets: new ones by flags of clone3, existing ones by setns, and which need a process in between.
 *
 * | namespace | new                                             | joined                                     |
 * |-----------|-------------------------------------------------|--------------------------------------------|
 * | user      | clone3 of init; unshare in the stage            | setns in the stage                         |
 * | cgroup    | unshare by init once it is in its cgroup        | setns in the stage                         |
 * | time      | clone3 of init; with offsets, unshare in the stage: only while it is empty can they be set | setns in the stage |
 * | pid       | clone3 of init                                  | setns in the stage: it takes effect on children |
 * | others    | clone3 of init                                  | setns in the stage                         |
 *
 * Source: namespaces(7), clone(2), setns(2), time_namespaces(7)
 */

import { buffer, type Slot, sizeOf, slot, text } from '../linux/call.ts'
import { AT_FDCWD, close, fstatfs, O_PATH, O_RDONLY, O_WRONLY, openat, write } from '../linux/files.ts'
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  NSFS_MAGIC,
  namespaceType,
  setdomainname,
  sethostname,
  setns,
  unshare,
} from '../linux/namespaces.ts'
import { setgroups } from '../linux/process.ts'
import type { Namespace, NamespaceType, TimeOffsets } from '../oci/namespaces.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

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

/** Their names in /proc/PID/ns. */
export const NAMESPACE_FILES: Readonly<Record<NamespaceType, string>> = {
  user: 'user',
  mount: 'mnt',
  pid: 'pid',
  network: 'net',
  uts: 'uts',
  ipc: 'ipc',
  cgroup: 'cgroup',
  time: 'time',
}

export interface NamespacesRequest {
  readonly namespaces: readonly Namespace[]
  readonly timeOffsets?: TimeOffsets | undefined
  /** Whether a namespace that is to be joined is the one that coffer itself is in. */
  readonly isHosts: (type: NamespaceType) => boolean
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
  /** In the stage, before it enters anything. */
  readonly openOffsets: readonly Step[]
  /** In the stage, before a new user namespace takes the privilege over the host's namespaces away. */
  readonly join: readonly Step[]
  /** In the stage, as root of the user namespace: a time namespace with offsets. */
  readonly setOffsets: readonly Step[]
}

export function planNamespaces({ namespaces: all, timeOffsets, isHosts }: NamespacesRequest): NamespacePlan {
  const namespaces = all.filter((one) => !isEnteredAlready(one, isHosts))
  const isNew = (type: NamespaceType): boolean => namespaces.some((one) => one.type === type && one.path === undefined)
  const isJoined = (type: NamespaceType): boolean =>
    namespaces.some((one) => one.type === type && one.path !== undefined)
  const joined = namespaces.filter(({ path }) => path !== undefined)
  const lines = isNew('time') ? offsetLines(timeOffsets ?? {}) : ''
  const needsStage = joined.length > 0 || lines !== ''
  let cloneFlags = 0
  for (const { type } of namespaces) {
    // The cgroup namespace shows the cgroup it was made in as its root, so init makes it after it has joined its own.
    const byOthers = type === 'cgroup' || (type === 'time' && lines !== '') || (type === 'user' && needsStage)
    if (isNew(type) && !byOthers) cloneFlags += NAMESPACE_FLAGS[type]
  }
  return {
    isNew,
    isJoined,
    cloneFlags,
    needsStage,
    open: joined.flatMap(openNamespace),
    join: planJoin(joined),
    ...(lines === '' ? { openOffsets: [], setOffsets: [] } : planOffsets(lines)),
  }
}

/**
 * Nobody may enter the user namespace again that they are in, and without privilege no other one either. A mount namespace is entered
 * all the same: its root becomes that of the container.
 */
const isEnteredAlready = ({ type, path }: Namespace, isHosts: NamespacesRequest['isHosts']): boolean =>
  path !== undefined && type !== 'mount' && isHosts(type)

/** A namespace to join, open in the executor and its children. */
export const namespaceFd = (type: NamespaceType): Slot => slot(`${type} namespace`)

const STATFS = buffer('namespace-statfs', 120)

/** A path may be of anything, so it is opened only once it is known to be of a namespace (SECURITY-CHECKS S110). */
function openNamespace({ type, path = '' }: Namespace): readonly Step[] {
  const fd = namespaceFd(type)
  const found = slot('namespace-path')
  const why = `take the ${type} namespace of ${path}`
  const see: readonly Ref[] = ['namespaces(7)']
  return [
    { call: openat(AT_FDCWD, path, O_PATH), why, see, into: found },
    {
      call: fstatfs(found, STATFS),
      why: `be sure that ${path} is a namespace`,
      see,
      check: { in: STATFS, offset: 0, sizeBytes: 4, equals: NSFS_MAGIC, errno: 'EINVAL' },
    },
    { call: openat(HOST_PROC, text('self/fd/', found), O_RDONLY), why, see, into: fd },
    {
      call: namespaceType(fd),
      why: `be sure that ${path} is a ${type} namespace`,
      see: ['ioctl_nsfs(2)'],
      check: { result: NAMESPACE_FLAGS[type], errno: 'EINVAL' },
    },
    { call: close(found), why, see },
  ]
}

/**
 * With a user namespace to join, those that refuse the caller are tried again behind it, as they may belong to it; what was entered at
 * once is closed, so EBADF says which those are.
 */
function planJoin(joined: readonly Namespace[]): readonly Step[] {
  const others = [
    ...joined.filter(({ type }) => type !== 'user' && type !== 'mount'),
    ...joined.filter(({ type }) => type === 'mount'),
  ]
  const user = joined.filter(({ type }) => type === 'user')
  if (user.length === 0) return others.map(enter)
  return [
    ...others.map(
      (one): Step => ({
        ...enter(one),
        tolerate: ['EPERM'],
        then: [{ call: close(namespaceFd(one.type)), why: 'not enter it twice', see: ['setns(2)'] }],
      }),
    ),
    leaveGroups,
    ...user.map(enter),
    ...others.map((one): Step => ({ ...enter(one), tolerate: ['EBADF'] })),
  ]
}

const enter = ({ type, path = '' }: Namespace): Step => ({
  call: setns(namespaceFd(type), NAMESPACE_FLAGS[type]),
  why: `enter the ${type} namespace ${path}`,
  see: ['setns(2)'],
})

/** In a user namespace of others it may be too late: whoever made it may have denied setgroups(2). EPERM: without privilege they stay. */
export const leaveGroups: Step = {
  call: setgroups(0, new Uint8Array()),
  why: 'take no groups of the caller along',
  see: ['setgroups(2)', 'user_namespaces(7)'],
  tolerate: ['EPERM'],
}

function offsetLines(offsets: TimeOffsets): string {
  return (['boottime', 'monotonic'] as const)
    .flatMap((clock) => {
      const { secs = 0, nanosecs = 0 } = offsets[clock] ?? {}
      return `${secs}` === '0' && nanosecs === 0 ? [] : [`${clock} ${secs} ${nanosecs}\n`]
    })
    .join('')
}

/**
 * The clocks can be set only while nobody is in the namespace, so the stage makes it for its child. The file is opened early: later the
 * stage is not dumpable, and its files belong to the root of the host. time_namespaces(7), proc(5)
 */
function planOffsets(lines: string): Pick<NamespacePlan, 'openOffsets' | 'setOffsets'> {
  const see: readonly Ref[] = ['time_namespaces(7)']
  const fd = slot('timens_offsets')
  const why = 'set the offsets of its clocks'
  return {
    openOffsets: [{ call: openat(HOST_PROC, 'self/timens_offsets', O_WRONLY), why, see, into: fd }],
    setOffsets: [
      { call: unshare(CLONE_NEWTIME), why: 'give it clocks of its own', see },
      { call: write(fd, lines, lines.length), why, see },
      { call: close(fd), why, see },
    ],
  }
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
