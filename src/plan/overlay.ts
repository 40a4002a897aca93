/**
 * A copy-on-write view of a directory: an overlay whose upper layer is in memory, and gone with the container.
 *
 * An overlay with one lower directory and no upper one is of no use, and the kernel refuses it. Here it means: what the container changes is
 * kept nowhere. The layer is a tmpfs below the overlay, at the same place, where nobody can reach it. `size` among the options is its size,
 * in bytes; overlayfs has no such option.
 *
 * Source: kernel:filesystems/overlayfs.rst
 */

import { type Slot, slot, type Text, text } from '../linux/call.ts'
import { mkdirat } from '../linux/files.ts'
import { MS_NODEV, MS_NOSUID, newMount } from '../linux/mount.ts'
import { newMountFlags } from './mounts-flags.ts'
import { isInUserNamespace, type MountPlan, type MountsContext, type PlannedMount } from './mounts-request.ts'
import { planParts } from './overlay-parts.ts'
import type { Ref, Step } from './plan.ts'
import { ROOT } from './slots.ts'
import { openMounted, pathTo, planTarget } from './targets.ts'

const SEE: readonly Ref[] = ['kernel:filesystems/overlayfs.rst']

/** The option that asks for it where there are several lower directories, which the kernel would show read-only. */
export const EPHEMERAL = 'ephemeral'

/** Whether the mount asks for an overlay without a place for what is written. */
export const isEphemeralOverlay = ({ mount, options }: PlannedMount): boolean =>
  mount.type === 'overlay' &&
  !options.data.some(({ key }) => key === 'upperdir') &&
  (options.data.some(({ key }) => key === EPHEMERAL) ||
    !(options.data.find(({ key }) => key === 'lowerdir')?.value ?? ':').includes(':'))

/** Where a view keeps what is written to it: the file system that has `upper` and `work`, by the index of its mount. O_PATH. */
export const layersOf = (index: number): Slot => slot(`layers#${index}`)

export function planEphemeralOverlay(planned: PlannedMount, context: MountsContext): MountPlan {
  const { destination, index, options } = planned
  const { steps: open, target } = planTarget({
    path: destination,
    kind: 'directory',
    purpose: 'a copy-on-write view',
    places: context.places,
    architecture: context.host.architecture,
    isExact: false,
  })
  const layers = layersOf(index)
  const root = destination === '/' ? ROOT : slot(`${destination}#${index}`)
  const flags = newMountFlags(options)
  if (options.data.find(({ key }) => key === 'lowerdir')?.value === '/' && isInUserNamespace(context)) {
    const view = {
      parts: context.request.hostParts(),
      target: pathTo(target),
      root,
      layers,
      flags,
      layer: layerData(planned),
    }
    const why = `hold on to what is now mounted at ${destination} (mounts[${index}])`
    const steps = planParts({ ...view, open: (into) => openMounted(target, why, into) })
    return { steps: [...open, ...steps], place: { dir: root, content: 'foreign' }, mountCount: 2 }
  }
  return {
    steps: [
      ...open,
      {
        call: newMount({
          type: 'tmpfs',
          source: 'coffer',
          target: pathTo(target),
          flags: MS_NOSUID | MS_NODEV,
          data: layerData(planned),
        }),
        why: `have a place for what is written below ${destination} (mounts[${index}])`,
        see: SEE,
      },
      openMounted(target, 'hold on to it', layers),
      ...['upper', 'work'].map(
        (name): Step => ({
          call: mkdirat(layers, name, 0o755),
          why: `have the ${name} directory of an overlay`,
          see: SEE,
        }),
      ),
      {
        call: newMount({
          type: 'overlay',
          source: 'overlay',
          target: text('self/fd/', layers),
          flags,
          data: overlayData(planned, text('self/fd/', layers), context),
        }),
        why: `show a copy-on-write view at ${destination} (mounts[${index}])`,
        see: SEE,
      },
      openMounted({ dir: layers, path: '' }, `hold on to what is now mounted at ${destination}`, root),
    ],
    place: { dir: root, content: 'foreign' },
    mountCount: 2,
  }
}

const SIZE = 'size'

/** Of the file system in memory that holds what is written. */
function layerData({ options }: PlannedMount): string {
  const size = options.data.find(({ key }) => key === SIZE)?.value
  return size === undefined ? 'mode=755' : `mode=755,size=${size}`
}

/** trusted.* attributes take privilege over the machine; in a user namespace overlay keeps its notes in user.* ones. */
function overlayData({ options, destination }: PlannedMount, layers: Text, context: MountsContext): Text {
  const lower = options.data.find(({ key }) => key === 'lowerdir')?.value
  const others = options.data
    .filter(({ key }) => ![SIZE, EPHEMERAL, 'lowerdir'].includes(key))
    .map(({ key, value }) => (value === undefined ? `,${key}` : `,${key}=${value}`))
    .join('')
  // A path to the root would lead to the layer, which was just mounted over it.
  const isRoot = destination === '/' && lower !== '/' && lower === context.request.rootfs
  const lowerdir = isRoot ? ['lowerdir=self/fd/', ROOT] : [`lowerdir=${lower}`]
  const suffix = isInUserNamespace(context) ? ',userxattr' : PLAIN_LAYER
  return text(...lowerdir, `${others},upperdir=`, ...layers.text, '/upper,workdir=', ...layers.text, `/work${suffix}`)
}

/** What a kernel may have as defaults, and what whoever reads the layer would have to follow; with userxattr there is neither. */
const PLAIN_LAYER = ',redirect_dir=off,metacopy=off'
