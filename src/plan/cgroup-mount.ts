/**
 * A mount of type `cgroup`: the control groups as the container may see them, in the shape that the host has.
 *
 * | host         | with a cgroup namespace                             | without                                    |
 * |--------------|-----------------------------------------------------|--------------------------------------------|
 * | v2           | a cgroup2 mount: the namespace's own root           | a bind mount of the container's cgroup     |
 * | v1, hybrid   | tmpfs, in it a mount of each hierarchy              | tmpfs, in it a bind mount of each cgroup   |
 *
 * A hierarchy in which the container has no cgroup of its own is left out: it would show that of the caller (SECURITY-CHECKS S53). On v2 that
 * leaves nothing to show.
 *
 * Source: oci:runtime-spec/config-linux.md#cgroups, cgroups(7), cgroup_namespaces(7)
 */

import { type Slot, slot, text } from '../linux/call.ts'
import type { Hierarchy } from '../linux/cgroup.ts'
import { AT_FDCWD, mkdirat, symlinkat } from '../linux/files.ts'
import {
  type Attributes,
  bindMount,
  cloneTree,
  MOUNT_ATTR_RDONLY,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  mountSetattr,
  newMount,
} from '../linux/mount.ts'
import { attributeChanges, mergeChanges, newMountFlags, propagationChanges } from './mounts-flags.ts'
import type { MountPlan, MountsContext, PlannedMount } from './mounts-request.ts'
import type { Ref, Step } from './plan.ts'
import { attachTo, openMounted, pathTo, planTarget, type Target } from './targets.ts'

/** What is mounted at the destination. */
const MOUNTED = slot('cgroup-root')

const SEE: readonly Ref[] = ['cgroups(7)', 'oci:runtime-spec/config-linux.md#cgroups']

export function planCgroupMount(planned: PlannedMount, context: MountsContext): MountPlan {
  const { places, host } = context
  const { steps, target } = planTarget({
    path: planned.destination,
    kind: 'directory',
    purpose: 'the control groups',
    places,
    architecture: host.architecture,
  })
  const mounting = host.cgroup.mode === 'v2' ? mountV2(planned, target, context) : mountV1(planned, target, context)
  return { steps: [...steps, ...mounting], place: { content: 'foreign' } }
}

/** Nothing is mounted below a cgroup. */
const alone = (change: Attributes): Attributes => ({ ...change, recursive: false })

const hasOwnNamespace = ({ request: { namespaces } }: MountsContext): boolean =>
  namespaces.isNew('cgroup') || namespaces.isJoined('cgroup')

function mountV2(planned: PlannedMount, target: Target, context: MountsContext): readonly Step[] {
  const own = context.request.cgroup.paths['']
  const fallback = own === undefined ? [showNothing(planned, target)] : bindOwnV2(planned, target, own)
  if (!hasOwnNamespace(context)) return fallback
  return [
    {
      call: newMount({
        type: 'cgroup2',
        source: 'cgroup',
        target: pathTo(target),
        flags: newMountFlags(planned.options),
        data: '',
      }),
      why: `show the container its cgroup at ${planned.destination} (mounts[${planned.index}])`,
      see: SEE,
      // EPERM in a user namespace that does not own the cgroup namespace; EBUSY where a bind mount of the host's /sys brought one already.
      tolerate: ['EPERM', 'EBUSY'],
      otherwise: fallback,
    },
    ...(planned.options.propagation.length === 0
      ? []
      : [openMounted(target, `hold on to ${planned.destination}`, MOUNTED)]),
    ...propagationOf(planned, MOUNTED),
  ]
}

/** What could be shown instead is the cgroup of the caller, or of the whole host. */
const showNothing = ({ destination, index }: PlannedMount, target: Target): Step => ({
  call: newMount({
    type: 'tmpfs',
    source: 'cgroup',
    target: pathTo(target),
    flags: MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
    data: 'mode=755',
  }),
  why: `leave ${destination} empty, as the container has no cgroup of its own (mounts[${index}])`,
  see: SEE,
})

/** mount(2) takes no propagation for a new mount. */
function propagationOf({ options, destination }: PlannedMount, root: Slot): readonly Step[] {
  const why = `decide who hears of mounts below ${destination}`
  return propagationChanges(options).map((change) => ({
    call: mountSetattr(root, change),
    why,
    see: ['mount_setattr(2)'],
  }))
}

function bindOwnV2(planned: PlannedMount, target: Target, own: string): readonly Step[] {
  const { options } = planned
  const tree = slot('source')
  const why = `show the container its cgroup at ${planned.destination} (mounts[${planned.index}])`
  return [
    { call: cloneTree(AT_FDCWD, own, { recursive: false }), why, see: SEE, into: tree },
    ...mergeChanges([...attributeChanges(options), ...propagationChanges(options)].map(alone)).map(
      (change): Step => ({ call: mountSetattr(tree, change), why, see: ['mount_setattr(2)'] }),
    ),
    { call: attachTo(tree, target), why, see: ['move_mount(2)'] },
  ]
}

/** As systemd lays out /sys/fs/cgroup on a host with v1. */
function mountV1(planned: PlannedMount, target: Target, context: MountsContext): readonly Step[] {
  const { destination, options } = planned
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
  const why = `have a place for the cgroup hierarchies at ${destination} (mounts[${planned.index}])`
  const attributes = mergeChanges(attributeChanges(options).map(alone))
  return [
    {
      call: newMount({ type: 'tmpfs', source: 'cgroup', target: pathTo(target), flags, data: 'mode=755' }),
      why,
      see: SEE,
    },
    openMounted(target, why, MOUNTED),
    ...context.host.cgroup.hierarchies.flatMap((hierarchy) => mountHierarchy(hierarchy, planned, context)),
    ...propagationOf(planned, MOUNTED),
    ...(hasOwnNamespace(context)
      ? attributes.some(isReadonly)
        ? [makeReadonly(destination)]
        : []
      : attributes.map((change) => protectAll(destination, change))),
  ]
}

const isReadonly = ({ set }: Attributes): boolean => (set & MOUNT_ATTR_RDONLY) !== 0

/** Last, when nothing more is to be made in it. */
const makeReadonly = (destination: string): Step => ({
  call: mountSetattr(MOUNTED, { set: MOUNT_ATTR_RDONLY }),
  why: `keep ${destination} as it is`,
  see: ['mount_setattr(2)'],
})

/** Binds take their attributes from what they show; those that are asked for come to all of them in one call, and to the place they are in. */
const protectAll = (destination: string, change: Attributes): Step => ({
  call: mountSetattr(MOUNTED, { ...change, recursive: true }),
  why: `give all hierarchies at ${destination} the attributes that are asked for`,
  see: ['mount_setattr(2)'],
})

function mountHierarchy(hierarchy: Hierarchy, planned: PlannedMount, context: MountsContext): readonly Step[] {
  const { version, controllers, mountPoint } = hierarchy
  const own = context.request.cgroup.paths[version === 2 ? '' : (controllers[0] ?? '')]
  if (own === undefined) return []
  const name = mountPoint.slice(mountPoint.lastIndexOf('/') + 1)
  const why = `show the container its cgroup of ${version === 2 ? 'v2' : controllers.join(',')}`
  const target = text('self/fd/', MOUNTED, `/${name}`)
  const make: Step = { call: mkdirat(MOUNTED, name, 0o755), why, see: SEE }
  if (hasOwnNamespace(context)) {
    const type = version === 2 ? 'cgroup2' : 'cgroup'
    const data = version === 2 ? '' : controllers.join(',')
    const call = newMount({ type, source: 'cgroup', target, flags: newMountFlags(planned.options), data })
    return [make, { call, why, see: SEE }, ...linksTo(name)]
  }
  return [make, { call: bindMount(own, target, { recursive: false }), why, see: SEE }, ...linksTo(name)]
}

/** Controllers that are mounted together are found by each of their names as well: `cpu` and `cpuacct` lead to `cpu,cpuacct`. */
function linksTo(name: string): readonly Step[] {
  if (!name.includes(',')) return []
  return name.split(',').map((controller) => ({
    call: symlinkat(name, MOUNTED, controller),
    why: `find ${controller} under its own name`,
    see: SEE,
    tolerate: ['EEXIST'],
  }))
}
