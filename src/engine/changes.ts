/** What a container has changed, by the upper directory of its overlay. kernel:filesystems/overlayfs.rst "whiteouts and opaque directories" */

import { OperationError } from '../base/errors.ts'
import { walk } from '../executor/embedded-walk.ts'
import { S_IFMT } from '../linux/files.ts'
import { asOwner } from './owner.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

export interface Change {
  readonly kind: 'A' | 'C' | 'D'
  /** From the root of the container on. */
  readonly path: string
}

const S_IFCHR = 0o020000
/** What is made for the sake of a mount, and so none of the container's doing; docker has a layer of its own for it. */
export const OURS: readonly string[] =
  'dev dev/console dev/mqueue dev/pts dev/shm etc/hostname etc/hosts etc/mtab etc/resolv.conf proc sys'.split(' ')

/** Sorted. A file with the mark of a whiteout, a device 0:0, is one that is gone. */
export function changesOf(engine: Engine, { id, name, intent }: ContainerRecord): readonly Change[] {
  if (intent.root.kind !== 'layers')
    throw new OperationError({
      kind: 'unsupported',
      operation: `tell what ${name} has changed`,
      reason: intent.root.kind === 'host' ? 'what it wrote is gone with it' : 'its root is a directory of the host',
    })
  const { layers } = intent.root
  return asOwner(engine, () => changesIn(engine, `${containerPath(engine, id)}/upper`, layers))
}

function changesIn(engine: Engine, upper: string, layers: readonly string[]): readonly Change[] {
  const changes: Change[] = []
  // Directories in which there is only what was made for a mount are none of the container's doing either.
  const ours = new Set<string>()
  const others = new Set<string>()
  walk(engine.machine.native, upper, ({ path, mode, device }) => {
    const isGone = (mode & S_IFMT) === S_IFCHR && device.major === 0 && device.minor === 0
    const kind = isGone ? 'D' : isBelow(engine, layers, path) ? 'C' : 'A'
    const parent = path.slice(0, Math.max(path.lastIndexOf('/'), 0))
    if (kind === 'A' && OURS.includes(path)) {
      ours.add(`/${parent}`)
      return
    }
    others.add(`/${parent}`)
    changes.push({ kind, path: `/${path}` })
  })
  return changes.filter(({ kind, path }) => kind !== 'C' || !ours.has(path) || others.has(path))
}

/** Whether one of the layers has something there. Directory by directory, so that no link of an image is followed; the uppermost layer comes first. */
export function isBelow({ machine: { files } }: Engine, layers: readonly string[], path: string): boolean {
  const names = path.split('/')
  return layers.some((layer) => {
    let at = layer
    return names.every((name) => {
      if (at !== layer && files.readLink(at) !== undefined) return false
      const isThere = files.list(at)?.includes(name) === true
      at = `${at}/${name}`
      return isThere
    })
  })
}
