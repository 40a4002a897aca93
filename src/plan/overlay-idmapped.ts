/**
 * An overlay whose lower layers belong to other ids than the container has: option `idmap`, which the specification has for bind mounts only.
 *
 * The layers are cloned out of sight and idmapped, so that what root has in them is the container's root's: nothing is copied, and nothing
 * changes its owner. The upper layer is not: what the container writes has the ids of the host that its processes have. Only a privileged
 * executor can do that, and overlayfs takes layers that are mounted nowhere since Linux 6.15.
 *
 * Source: kernel:filesystems/overlayfs.rst, fsconfig(2), mount_setattr(2) "ID-mapped mounts"
 */

import { type Slot, slot } from '../linux/call.ts'
import { AT_FDCWD } from '../linux/files.ts'
import {
  cloneTree,
  fsconfigCreate,
  fsconfigFd,
  fsconfigFlag,
  fsconfigString,
  fsmount,
  fsopen,
  mountSetattr,
} from '../linux/mount.ts'
import type { FilesystemOption } from '../oci/mount-options.ts'
import { planIdmap } from './bind.ts'
import { attributeChanges, mergeChanges } from './mounts-flags.ts'
import type { MountPlan, MountsContext, PlannedMount } from './mounts-request.ts'
import type { Ref, Step } from './plan.ts'
import { ROOT } from './slots.ts'
import { attachTo, openMounted, planTarget } from './targets.ts'

const SEE: readonly Ref[] = ['kernel:filesystems/overlayfs.rst', 'fsconfig(2)']

export const isIdmappedOverlay = ({ mount, options }: PlannedMount): boolean =>
  mount.type === 'overlay' && options.idmap !== undefined

export function planIdmappedOverlay(planned: PlannedMount, context: MountsContext): MountPlan {
  const { destination, index } = planned
  const { steps: open, target } = planTarget({
    path: destination,
    kind: 'directory',
    purpose: 'an overlay',
    places: context.places,
    architecture: context.host.architecture,
    isExact: false,
  })
  const tree = slot(`overlay-${index}`)
  const root = destination === '/' ? ROOT : slot(`${destination}#${index}`)
  return {
    before: planTree(planned, context, tree),
    steps: [
      ...open,
      { call: attachTo(tree, target), why: `show the overlay at ${destination}`, see: ['move_mount(2)'] },
      openMounted(target, `hold on to what is now mounted at ${destination}`, root),
    ],
    place: { dir: root, content: 'foreign' },
  }
}

/** For the executor: the overlay, mounted nowhere. */
function planTree(planned: PlannedMount, context: MountsContext, tree: Slot): readonly Step[] {
  const { destination, index, options } = planned
  const fs = slot('overlay-context')
  const reason = { why: `make the overlay for ${destination} (mounts[${index}])`, see: SEE }
  const idmap = planIdmap({ index, options, maps: { uid: [], gid: [] } }, context)
  const layers = layersIn(options.data).flatMap((path): readonly Step[] => {
    const layer = slot('overlay-layer')
    const why = `show the layer ${path} with the ids of the container`
    return [
      { call: cloneTree(AT_FDCWD, path, { recursive: false }), why, see: ['open_tree(2)'], into: layer },
      ...(idmap === undefined
        ? []
        : [{ call: mountSetattr(layer, { ...idmap.change, recursive: false }), why, see: ['mount_setattr(2)'] }]),
      { call: fsconfigFd(fs, 'lowerdir+', layer), why, see: SEE },
    ]
  })
  return [
    ...(idmap?.steps ?? []),
    { call: fsopen('overlay'), ...reason, into: fs },
    ...layers,
    ...options.data
      .filter(({ key }) => key !== LOWER)
      .map(
        ({ key, value }): Step => ({
          call: value === undefined ? fsconfigFlag(fs, key) : fsconfigString(fs, key, unescaped(value)),
          ...reason,
        }),
      ),
    { call: fsconfigCreate(fs), ...reason },
    { call: fsmount(fs, 0), ...reason, into: tree },
    ...mergeChanges(attributeChanges(options)).map((change): Step => ({ call: mountSetattr(tree, change), ...reason })),
  ]
}

const LOWER = 'lowerdir'

const layersIn = (data: readonly FilesystemOption[]): readonly string[] =>
  layersOf(data.find(({ key }) => key === LOWER)?.value ?? '')

/** Of the value of an option, the uppermost first; in it a backslash takes the meaning of a colon. */
export const layersOf = (value: string): readonly string[] => (value.match(/(?:[^:\\]|\\.)+/g) ?? []).map(unescaped)

const unescaped = (path: string): string => path.replace(/\\(.)/g, '$1')
