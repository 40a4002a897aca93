/**
 * The mounts of a container, in the order of its configuration.
 *
 * | asked for                          | how                                                                 | file              |
 * |------------------------------------|---------------------------------------------------------------------|-------------------|
 * | bind, rbind                        | open_tree, mount_setattr, move_mount                                | bind.ts           |
 * | a file system: proc, tmpfs, …      | mount(2) on a descriptor: one call, where fsopen(2) takes five      | mounts-new.ts     |
 * | an overlay with `idmap`            | its layers, and then itself, are mounted out of sight               | overlay-idmapped.ts |
 * | cgroup                             | what the host has: one mount, or a directory of them                | cgroup-mount.ts   |
 * | remount, or only propagation       | changes what is there                                               | mounts-change.ts  |
 *
 * Where in the container each one goes is found by targets.ts. Source: oci:runtime-spec/config.md#mounts
 */

import { OperationError } from '../base/errors.ts'
import { parseMountOptions } from '../oci/mount-options.ts'
import type { Mount } from '../oci/mounts.ts'
import { planBind, subpathOf } from './bind.ts'
import { planCgroupMount } from './cgroup-mount.ts'
import type { Host } from './host.ts'
import { planChange } from './mounts-change.ts'
import { planNew } from './mounts-new.ts'
import type { MountPlan, MountsContext, MountsRequest, PlannedMount } from './mounts-request.ts'
import { isEphemeralOverlay, planEphemeralOverlay } from './overlay.ts'
import { isIdmappedOverlay, planIdmappedOverlay } from './overlay-idmapped.ts'
import type { Step } from './plan.ts'
import { ROOT } from './slots.ts'
import { cleanPath, isBelow, openMounted, type Place, type Places, placeOf, planTarget } from './targets.ts'

export type { MountsRequest } from './mounts-request.ts'

export interface MountsPlan {
  /** For the executor, before it makes init. */
  readonly before: readonly Step[]
  /** In the joined namespaces, before a new user namespace: mounts-foreign.ts. */
  readonly foreign: readonly Step[]
  /** For init, once rootfs.ts has given it a root. */
  readonly steps: readonly Step[]
  /** For init, once nothing more is put into /dev: what is to be read-only becomes so. */
  readonly finish: readonly Step[]
  readonly places: Places
  /** How many mounts are made over the root of the container. */
  readonly rootMounts: number
}

/** Throws `invalid` and `unsupported`, and names the field. */
export function planMounts(request: MountsRequest, host: Host): MountsPlan {
  const places = new Map<string, Place>()
  const context: MountsContext = {
    request,
    host,
    places,
    sourcesOpenedBy: request.sourcesOpenedBy,
    hostMounts: request.hostMounts,
    isRootless: host.isRootless,
    containerMaps: request.idMaps,
    userNamespace: request.userNamespace,
    idmaps: new Map(),
  }
  let rootMounts = 0
  const before: Step[] = []
  const foreign: Step[] = []
  const steps: Step[] = []
  const finish: Step[] = []
  const destinations = request.mounts.map(({ destination }) => cleanPath(destination))
  for (const [index, mount] of request.mounts.entries()) {
    const planned = describe(mount, index, destinations, request.pathsToCover)
    const plan = planMount(planned, context)
    before.push(...(plan.before ?? []))
    foreign.push(...(plan.foreign ?? []))
    steps.push(...plan.steps)
    finish.push(...(plan.finish ?? []))
    if (plan.place === undefined) continue
    remember(planned.destination, plan.place, places)
    if (planned.destination === '/') rootMounts += plan.mountCount ?? 1
  }
  return { before, foreign, steps, finish, places, rootMounts }
}

function describe(
  mount: Mount,
  index: number,
  destinations: readonly string[],
  pathsToCover: readonly string[],
): PlannedMount {
  const destination = destinations[index] ?? '/'
  const options = parseMountOptions(mount)
  // Only what the plan itself has mounted can be trusted without another look, so the root of a bind mount is of no use.
  const staysOpen =
    options.bind === undefined &&
    // Devices and links are made in /dev by devices.ts.
    (destination === '/dev' ||
      destinations.some((other, later) => later > index && isAtOrBelow(other, destination)) ||
      (isKernels(mount) && pathsToCover.some((path) => isBelow(path, destination))))
  return { index, mount, destination, options, staysOpen }
}

const isKernels = ({ type }: Mount): boolean => type === 'proc' || type === 'sysfs'

const isAtOrBelow = (path: string, directory: string): boolean => path === directory || isBelow(path, directory)

/** A mount hides what was mounted below it before. */
function remember(destination: string, place: Place, places: Map<string, Place>): void {
  for (const path of [...places.keys()]) if (isBelow(path, destination)) places.delete(path)
  if (destination !== '/') places.set(destination, place)
}

function planMount(planned: PlannedMount, context: MountsContext): MountPlan {
  const { mount, options } = planned
  refuseInProc(planned)
  if (options.remount || (mount.type === undefined && options.bind === undefined)) return planChange(planned, context)
  if (options.bind !== undefined) return planBindMount(planned, context)
  if (isIdmappedOverlay(planned)) return planIdmappedOverlay(planned, context)
  if (isEphemeralOverlay(planned)) return planEphemeralOverlay(planned, context)
  return mount.type === 'cgroup' ? planCgroupMount(planned, context) : planNew(planned, context)
}

function planBindMount(planned: PlannedMount, context: MountsContext): MountPlan {
  const { index, mount, options, destination } = planned
  const { request, host, places } = context
  const source = absolute(mount.source ?? '', request.bundle)
  const subpath = subpathOf(options)
  const kind = host.kindOf(subpath === undefined ? source : `${source}/${subpath}`)
  if (kind === 'absent') throw refusal(index, 'source', `is ${JSON.stringify(subpath ?? source)}, which does not exist`)
  const purpose = `the bind mount of ${source}`
  // refuseInProc has allowed what gets here, and without links on the way it is what it says.
  const isExact = destination === '/proc' || isBelow(destination, '/proc')
  const path = kind === 'file' ? fileTarget(destination, context) : destination
  const target = planTarget({ path, kind, purpose, places, architecture: host.architecture, isExact })
  const maps = { uid: mount.uidMappings, gid: mount.gidMappings }
  const plan = planBind({ index, source, destination, options, maps, target }, context)
  const reopen =
    destination === '/' ? [openMounted(target.target, `take ${source} as the root of the container`, ROOT)] : []
  return { before: plan.before, steps: [...plan.steps, ...reopen], place: { content: 'foreign' } }
}

/** A file may be missing behind a link of the image, such as that of /etc/resolv.conf to /run, and is made there; but not among files of the kernel. */
function fileTarget(destination: string, { request, places }: MountsContext): string {
  if (places.has(destination) || placeOf(destination, places)[0] !== '/') return destination
  const path = request.behindLinks(destination)
  const isKernels = path === '/' || places.has(path) || placeOf(path, places)[1].content === 'kernel'
  return isKernels ? destination : path
}

const absolute = (source: string, bundle: string): string => (source.startsWith('/') ? source : `${bundle}/${source}`)

/** Files that lxcfs and others show in place of the kernel's: those that runc allows. */
const ALLOWED_IN_PROC =
  ' cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo sys/kernel/ns_last_pid sys/crypto/fips_enabled '

/** Whoever trusts /proc, we among them, must find the kernel's files there (SECURITY-CHECKS S20). */
function refuseInProc({ index, mount, options, destination }: PlannedMount): void {
  const isBind = options.bind !== undefined
  if (destination === '/proc') {
    if (isBind || options.remount || mount.type === 'proc' || mount.type === undefined) return
    throw refusal(index, 'type', `is ${JSON.stringify(mount.type)}, and only procfs may be mounted at /proc`)
  }
  if (!isBelow(destination, '/proc')) return
  if (isBind && ALLOWED_IN_PROC.includes(` ${destination.slice('/proc/'.length)} `)) return
  const hint = `only bind mounts of these files are allowed there:${ALLOWED_IN_PROC}`.trimEnd()
  throw refusal(index, 'destination', `is ${JSON.stringify(destination)}, inside /proc`, hint)
}

/** The error for a mount that cannot be made as it is asked for. */
const refusal = (index: number, field: string, problem: string, hint?: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'plan the mounts',
    reason: `mounts[${index}].${field} ${problem}`,
    ...(hint === undefined ? {} : { hint }),
    see: ['oci:runtime-spec/config.md#mounts'],
  })
