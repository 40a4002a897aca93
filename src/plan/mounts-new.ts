/**
 * New file systems: proc, sysfs, tmpfs, devpts, mqueue, overlay, and whatever else the kernel has.
 *
 * mount(2) gets its target as `self/fd/N` of the host's procfs, the current directory (targets.ts): a descriptor that was resolved
 * before, so nothing is looked up anew. It mounts in one call, and takes options of up to a page, of which overlay needs a lot; fsconfig(2)
 * takes 255 bytes.
 *
 * Source: oci:runtime-spec/config.md#mounts, mount(2)
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Call, type Slot, slot } from '../linux/call.ts'
import { AT_EMPTY_PATH, AT_FDCWD, STATX_BASIC_STATS, statx } from '../linux/files.ts'
import { type Attributes, cloneTree, MOUNT_ATTR_RDONLY, MS_RDONLY, mountSetattr, newMount } from '../linux/mount.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { copyUp, type TreeEntry } from './mounts-copy-up.ts'
import { attributeChanges, dataOf, mergeChanges, newMountFlags, propagationChanges } from './mounts-flags.ts'
import { planForeign } from './mounts-foreign.ts'
import {
  isInUserNamespace,
  type MountPlan,
  type MountsContext,
  type MountsRequest,
  type PlannedMount,
} from './mounts-request.ts'
import type { Ref, Step } from './plan.ts'
import { ROOT } from './slots.ts'
import { attachTo, openMounted, type Place, type Places, pathTo, placeOf, planTarget, type Target } from './targets.ts'

/** A mount while it is planned. */
interface New {
  readonly planned: PlannedMount
  readonly type: string
  readonly target: Target
  /** It gets the mode of the directory that it covers. */
  readonly copiesMode: boolean
  /** Where its root is kept open; undefined if nobody needs it. */
  readonly root: Slot | undefined
}

export function planNew(planned: PlannedMount, context: MountsContext): MountPlan {
  const { mount, options, destination } = planned
  const type = mount.type ?? ''
  const takesMode = type === 'tmpfs' && !options.data.some(({ key }) => key === 'mode')
  const { steps: open, target } = planTarget({
    path: destination,
    kind: 'directory',
    purpose: `a new ${type}`,
    places: context.places,
    architecture: context.host.architecture,
    // An image cannot place what everybody trusts, or what devices are made in, somewhere else (SECURITY-CHECKS S19, S22).
    isExact: type === 'proc' || type === 'sysfs' || destination === '/dev',
    mode: takesMode ? TMPFS_MODE : undefined,
  })
  // A directory of a tmpfs that this plan has mounted is no example to follow.
  const copiesMode = takesMode && open.length > 0 && target.path === ''
  const one: New = { planned, type, target, copiesMode, root: rootSlot(planned, copiesMode) }
  const foreign = isForeign(type, context.request.namespaces) ? planForeign(planned, type) : undefined
  const delaysReadonly = type === 'tmpfs' && isReadonly(planned) && one.root !== undefined
  const flags = delaysReadonly ? newMountFlags(options) & ~MS_RDONLY : newMountFlags(options)
  return {
    ...(foreign === undefined ? {} : { foreign: foreign.steps }),
    steps: [
      ...open,
      ...(copiesMode ? [readMode(target)] : []),
      foreign === undefined ? mountOrBind(one, flags, context) : attachForeign(one, foreign.tree),
      ...(one.root === undefined ? [] : complete(one, one.root, context)),
    ],
    finish: delaysReadonly && one.root !== undefined ? [makeReadonly(one.root, planned)] : [],
    place: placeFor(one),
  }
}

function rootSlot({ index, destination, options, staysOpen }: PlannedMount, copiesMode: boolean): Slot | undefined {
  if (destination === '/') return ROOT
  const isNeeded = staysOpen || copiesMode || options.tmpcopyup || options.propagation.length > 0
  return isNeeded ? slot(`${destination}#${index}`) : undefined
}

/** What is left to do with the root of the new mount. */
function complete(one: New, root: Slot, { request, places }: MountsContext): readonly Step[] {
  const { planned, target, copiesMode } = one
  const { destination, options } = planned
  return [
    openMounted(target, `hold on to what is now mounted at ${destination}`, root),
    ...(copiesMode ? [setMode(root, destination)] : []),
    ...(options.tmpcopyup ? copyUp({ planned, target, root }, listCovered(planned, places, request)) : []),
    ...setPropagation(planned, root),
  ]
}

/** Nobody can tell before the container is made what another mount of it will hold; what the plan makes in one of its own is empty. */
function listCovered(
  { index, destination }: PlannedMount,
  places: Places,
  request: MountsRequest,
): readonly TreeEntry[] | undefined {
  const [at, { content }] = places.has(destination)
    ? [destination, { content: 'foreign' }]
    : placeOf(destination, places)
  if (at === '/') return request.listTree(destination)
  if (content === 'fresh') return undefined
  throw new OperationError({
    kind: 'unsupported',
    operation: 'plan the mounts',
    reason: `mounts[${index}].options has tmpcopyup, and ${destination} is covered by the mount at ${at}`,
    hint: `take tmpcopyup out, or the mount at ${at}`,
  })
}

const isReadonly = ({ options: { attributes, recursiveAttributes } }: PlannedMount): boolean =>
  attributes.set.includes('rdonly') || (recursiveAttributes?.set.includes('rdonly') ?? false)

function placeFor({ type, root, planned }: New): Place {
  if (type === 'proc' || type === 'sysfs') return { dir: root, content: 'kernel' }
  return { dir: root, content: type === 'tmpfs' && !planned.options.tmpcopyup ? 'fresh' : 'foreign' }
}

/** What tmpfs(5) gives its root, and so what a directory that is made to be covered by one gets. */
const TMPFS_MODE = 0o1777
const MODE = slot('tmpfs-mode')

/** A tmpfs is as open as the directory it covers, as with runc: /tmp stays for all, /run does not become so. */
function readMode(target: Target): Step {
  const stat = buffer('tmpfs-statx', 256)
  return {
    call: statx(target.dir, '', AT_EMPTY_PATH, STATX_BASIC_STATS, stat),
    why: 'know the mode of the directory that the tmpfs covers',
    see: ['statx(2)'],
    keep: [{ slot: MODE, in: stat, offset: 28, sizeBytes: 2 }],
  }
}

const setMode = (root: Slot, destination: string): Step => ({
  call: fchmodTo(root, MODE),
  why: `give the tmpfs at ${destination} that mode`,
  see: ['chmod(2)'],
})

/** fchmodat(2), as a directory opened with O_PATH has no other; the bits of the file type in the mode are ignored. */
const fchmodTo = (dir: Slot, mode: Slot): Call => ({ name: 'fchmodat', args: [dir, '.', mode] })

const makeReadonly = (root: Slot, { destination, index }: PlannedMount): Step => ({
  call: mountSetattr(root, { set: MOUNT_ATTR_RDONLY }),
  why: `make ${destination} read-only now that it is complete (mounts[${index}].options)`,
  see: ['mount_setattr(2)'],
})

const OTHER_PAGES: Readonly<Record<string, Ref>> = {
  proc: 'proc(5)',
  sysfs: 'sysfs(5)',
  tmpfs: 'tmpfs(5)',
  devpts: 'pts(4)',
  mqueue: 'mq_overview(7)',
  cgroup2: 'cgroups(7)',
  overlay: 'kernel:filesystems/overlayfs.rst',
}

/** In a user namespace the kernel refuses some, and there are two ways out. */
function mountOrBind(one: New, flags: number, context: MountsContext): Step {
  const { type, target, planned } = one
  const { data } = planned.options
  const { label } = context.request
  const page = OTHER_PAGES[type]
  const mounting = (text: string): Step => ({
    call: newMount({ type, source: planned.mount.source ?? type, target: pathTo(target), flags, data: text }),
    why: `mount a new ${type} at ${planned.destination} (mounts[${planned.index}])`,
    see: page === undefined ? ['mount(2)'] : ['mount(2)', page],
  })
  const step = mounting(dataOf(data, type, label))
  if (!isInUserNamespace(context)) return step
  if (type === 'devpts' && data.some(({ key }) => key === 'gid')) {
    // EINVAL for a group that the user namespace does not have, as the usual gid=5; a terminal then belongs to its user's group.
    const rest = data.filter(({ key }) => key !== 'gid')
    return { ...step, tolerate: ['EINVAL'], otherwise: [mounting(dataOf(rest, type, label))] }
  }
  const owner = OWNERS[type]
  // The host's would be wrong for a namespace that is joined.
  if (owner === undefined || isNewOrJoined(owner[0], context.request.namespaces)) return step
  return { ...step, tolerate: ['EPERM'], otherwise: bindTheHosts(one, owner[1]) }
}

/** These show a namespace, and only who has privilege over that may mount them; otherwise the host's own shows the same. */
const OWNERS: Readonly<Record<string, readonly [NamespaceType, string]>> = {
  proc: ['pid', '/proc'],
  sysfs: ['network', '/sys'],
  mqueue: ['ipc', '/dev/mqueue'],
}

type Namespaces = MountsContext['request']['namespaces']

const isNewOrJoined = (type: NamespaceType, { isNew, isJoined }: Namespaces): boolean => isNew(type) || isJoined(type)

/** A new user namespace has no privilege over what the container joins. */
function isForeign(type: string, { isNew, isJoined }: Namespaces): boolean {
  const owner = OWNERS[type]
  return owner !== undefined && isNew('user') && isJoined(owner[0])
}

const attachForeign = ({ type, target, planned }: New, tree: Slot): Step => ({
  call: attachTo(tree, target),
  why: `mount that ${type} at ${planned.destination} (mounts[${planned.index}])`,
  see: ['move_mount(2)'],
})

/** With all that is mounted below: the kernel does not let a user namespace look underneath. mount_namespaces(7) */
function bindTheHosts({ target, planned }: New, path: string): readonly Step[] {
  const tree = slot('source')
  const see: readonly Ref[] = ['mount_namespaces(7)', 'user_namespaces(7)']
  const why = `show ${path} of the host at ${planned.destination} instead (mounts[${planned.index}])`
  const changes = mergeChanges(attributeChanges(planned.options).map(everywhere))
  return [
    { call: cloneTree(AT_FDCWD, path, { recursive: true }), why, see, into: tree },
    ...changes.map((change): Step => ({ call: mountSetattr(tree, change), why, see })),
    { call: attachTo(tree, target), why, see },
  ]
}

const everywhere = (change: Attributes): Attributes => ({ ...change, recursive: true })

const setPropagation = (planned: PlannedMount, root: Slot): readonly Step[] =>
  propagationChanges(planned.options).map((change) => ({
    call: mountSetattr(root, { ...change, recursive: false }),
    why: `decide who hears of mounts below ${planned.destination} (mounts[${planned.index}].options)`,
    see: ['mount_setattr(2)', 'mount_namespaces(7)'],
  }))
