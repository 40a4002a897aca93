/**
 * Where a box's files come from: which directories keep what was written, and what they lie over.
 *
 * | root              | kept in                                                                             |
 * |-------------------|-------------------------------------------------------------------------------------|
 * | as root           | one directory, `upper`                                                              |
 * | in a user namespace, `host` | one for each overlay, and directories in memory between them: plan/overlay-parts.ts |
 */

import { type HostPart, layerName } from '../plan/overlay-parts.ts'

export interface LayerView {
  /** Absolute: what the box started from, directories that lie over one another, the uppermost first. */
  readonly origin: readonly string[]
  /** Changes may be brought back to it: an image is that of others as well. */
  readonly takesChanges: boolean
  /** Directories of the layer, each with what is written below `path`. */
  readonly uppers: readonly Upper[]
  /** Directories in memory, which are in the view themselves. */
  readonly inMemory: readonly InMemory[]
  /** Paths that coffer itself mounts something at, and makes for that. */
  readonly own: readonly string[]
}

export interface Upper {
  /** Of the box, without a slash at its end; empty for the root. */
  readonly path: string
  readonly directory: string
}

export interface InMemory {
  readonly path: string
  readonly parts: readonly HostPart[]
}

export interface ViewRequest extends Pick<LayerView, 'origin' | 'takesChanges'> {
  /** Undefined where one overlay shows all. */
  readonly parts: readonly HostPart[] | undefined
  readonly mountPoints: readonly string[]
}

export function layerView({ origin, takesChanges, parts, mountPoints }: ViewRequest): LayerView {
  const own = mountPoints.filter((path) => path !== '/')
  if (parts === undefined)
    return { origin, takesChanges, uppers: [{ path: '', directory: 'upper' }], inMemory: [], own }
  const inMemory = memoryIn('', parts)
  const uppers = inMemory.flatMap(({ path, parts: inside }) =>
    inside.flatMap(({ name, kind }) =>
      kind === 'overlay' ? [{ path: `${path}/${name}`, directory: `${layerName(`${path}/${name}`)}/upper` }] : [],
    ),
  )
  return { origin, takesChanges, uppers, inMemory, own }
}

const memoryIn = (path: string, parts: readonly HostPart[]): readonly InMemory[] => [
  { path, parts },
  ...parts.flatMap((part) => (part.kind === 'parts' ? memoryIn(`${path}/${part.name}`, part.parts) : [])),
]
