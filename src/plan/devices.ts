/**
 * Device nodes and links in /dev.
 *
 * They are made relative to a descriptor of /dev that is not behind a symbolic link, so that an image cannot have them made somewhere else
 * (SECURITY-CHECKS S22). In a user namespace the kernel lets nobody make device nodes: those of the host are bind-mounted.
 *
 * Source: oci:runtime-spec/config-linux.md#devices, #default-devices, oci:runtime-spec/runtime-linux.md#dev-symbolic-links
 */

import type { Slot } from '../linux/call.ts'
import { slot } from '../linux/call.ts'
import { DEFAULT_DEVICES, DEFAULT_LINKS } from '../linux/devices.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  deviceNumber,
  fchownat,
  mknodat,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  symlinkat,
  unlinkat,
} from '../linux/files.ts'
import { bindMount } from '../linux/mount.ts'
import type { Device } from '../oci/devices.ts'
import type { Mount } from '../oci/mounts.ts'
import { isBind } from '../oci/mounts.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { cleanPath, type Places, parentOf, pathTo, planTarget, type Target } from './targets.ts'

export interface DevicesRequest {
  /** linux.devices: beside the default ones, and in place of those with the same path. */
  readonly devices: readonly Device[]
  readonly mounts: readonly Mount[]
  readonly places: Places
  /** The container's user namespace is not the host's. */
  readonly isInUserNamespace: boolean
}

export interface DevicesPlan {
  readonly steps: readonly Step[]
  /** The open /dev; undefined if the container has one that is bind-mounted, which is left alone. */
  readonly dev?: Slot | undefined
  /** The directory in which this plan has itself made `null`, out of everybody else's reach; masks.ts trusts it. */
  readonly nullIn?: Slot | undefined
}

const SEE: readonly Ref[] = ['mknod(2)', 'oci:runtime-spec/config-linux.md#devices']
const MODE = 0o666

/** For init, behind the mounts. */
export function planDevices(request: DevicesRequest, host: Host): DevicesPlan {
  if (request.mounts.some((mount) => isBind(mount) && cleanPath(mount.destination) === '/dev')) return { steps: [] }
  const { places, devices } = request
  const { steps: open, target } = planTarget({
    path: '/dev',
    kind: 'directory',
    purpose: 'devices',
    places,
    architecture: host.architecture,
    isExact: true,
    into: slot('dev'),
  })
  const dev = target.dir
  const isFresh = places.get('/dev')?.content === 'fresh'
  const wanted = [...defaultsBeside(devices), ...devices.filter(({ path }) => cleanPath(path) !== '/dev/ptmx')]
  const directory: Directory = { dev, isFresh, parents: new Map(), request, host }
  const isOwnNull = isFresh && !places.has('/dev/null') && !devices.some(({ path }) => cleanPath(path) === '/dev/null')
  return {
    steps: [
      ...open,
      ...wanted.flatMap((device) => planDevice({ ...device, path: cleanPath(device.path) }, directory)),
      ...planLinks(dev, { isFresh, hasCore: host.kindOf('/proc/kcore') !== 'absent' }),
    ],
    dev,
    nullIn: isOwnNull ? dev : undefined,
  }
}

function defaultsBeside(devices: readonly Device[]): readonly Device[] {
  const paths = devices.map(({ path }) => cleanPath(path))
  return DEFAULT_DEVICES.filter(({ name }) => !paths.includes(`/dev/${name}`)).map(({ name, major, minor }) => ({
    path: `/dev/${name}`,
    type: 'c',
    major,
    minor,
  }))
}

interface Directory {
  readonly dev: Slot
  readonly isFresh: boolean
  /** Other directories with devices that the plan has opened so far. */
  readonly parents: Map<string, Target>
  readonly request: DevicesRequest
  readonly host: Host
}

function planDevice(device: Device, directory: Directory): readonly Step[] {
  return directory.request.isInUserNamespace && device.type !== 'p'
    ? bindDevice(device.path, directory)
    : makeDevice(device, directory)
}

function makeDevice(device: Device, directory: Directory): readonly Step[] {
  const { path, fileMode = MODE, uid = 0, gid = 0 } = device
  const { steps, dir, name } = parentFor(path, directory)
  const number = device.type === 'p' ? 0 : deviceNumber(device.major, device.minor)
  const make: Step = {
    call: mknodat(dir, name, typeBits(device.type) | fileMode, number),
    why: `make ${path}`,
    see: SEE,
    // What the image has there already stays; what it may be used for is up to the cgroup.
    tolerate: ['EEXIST'],
  }
  if (uid === 0 && gid === 0) return [...steps, make]
  const chown = fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW)
  return [...steps, make, { call: chown, why: `give ${path} to ${uid}:${gid}`, see: ['chown(2)'] }]
}

function typeBits(type: Device['type']): number {
  if (type === 'p') return S_IFIFO
  return type === 'b' ? S_IFBLK : S_IFCHR
}

interface Parent {
  readonly steps: readonly Step[]
  readonly dir: Slot
  /** Of the device, below `dir`. */
  readonly name: string
}

function parentFor(path: string, { dev, parents, request, host }: Directory): Parent {
  const parent = parentOf(path)
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (parent === '/dev') return { steps: [], dir: dev, name }
  const known = parents.get(parent)
  if (known !== undefined) return { steps: [], dir: known.dir, name: below(known, name) }
  const { steps, target } = planTarget({
    path: parent,
    kind: 'directory',
    purpose: path,
    places: request.places,
    architecture: host.architecture,
    into: slot(`devices-${parents.size}`),
  })
  parents.set(parent, target)
  return { steps, dir: target.dir, name: below(target, name) }
}

const below = ({ path }: Target, name: string): string => (path === '' ? name : `${path}/${name}`)

function bindDevice(path: string, { request, host }: Directory): readonly Step[] {
  const { steps, target } = planTarget({
    path,
    kind: 'file',
    purpose: `${path} of the host`,
    places: request.places,
    architecture: host.architecture,
  })
  const call = bindMount(path, pathTo(target), { recursive: false })
  return [...steps, { call, why: `show ${path} of the host`, see: ['mount(2)', 'user_namespaces(7)'] }]
}

/** Links that exist are left alone, but for ptmx: a node there would be of another devpts instance than the container's. */
function planLinks(dev: Slot, { isFresh, hasCore }: { isFresh: boolean; hasCore: boolean }): readonly Step[] {
  const see: readonly Ref[] = ['symlink(2)', 'oci:runtime-spec/runtime-linux.md#dev-symbolic-links']
  const links = hasCore ? [...DEFAULT_LINKS, ['core', '/proc/kcore'] as const] : DEFAULT_LINKS
  const steps = links.map(
    ([name, target]): Step => ({
      call: symlinkat(target, dev, name),
      why: `make /dev/${name} lead to ${target}`,
      see,
      tolerate: ['EEXIST'],
    }),
  )
  if (isFresh) return steps
  // EBUSY: the configuration mounts something there.
  const remove: Step = {
    call: unlinkat(dev, 'ptmx'),
    why: 'make room for /dev/ptmx',
    see,
    tolerate: ['ENOENT', 'EBUSY'],
  }
  return [remove, ...steps]
}
