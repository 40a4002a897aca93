/** How much is in a container: what it has written, and with its image. */

import type { Native } from '../base/native.ts'
import { diskUsage } from '../executor/embedded-walk.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

export interface WrittenSize {
  readonly written: number
  readonly whole: number
}

/** In bytes, as files say them; a file with several names counts once. */
export function writtenSize(engine: Engine, { id, intent }: ContainerRecord): WrittenSize {
  const { native }: { native: Native } = engine.machine
  const written = diskUsage(native, `${containerPath(engine, id)}/upper`)
  const below =
    intent.root.kind === 'layers' ? intent.root.layers.reduce((sum, layer) => sum + diskUsage(native, layer), 0) : 0
  return { written, whole: written + below }
}
