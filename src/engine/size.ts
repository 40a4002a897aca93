/** How much is in a container: what it has written, and with its image. */

import { diskUsage } from '../executor/embedded-walk.ts'
import { asOwner } from './owner.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

export interface WrittenSize {
  readonly written: number
  readonly whole: number
}

/** In bytes, as files say them; a file with several names counts once. */
export function writtenSize(engine: Engine, { id, intent }: ContainerRecord): WrittenSize {
  const layers = intent.root.kind === 'layers' ? intent.root.layers : []
  const [written = 0, ...below] = sizesOf(engine, [`${containerPath(engine, id)}/upper`, ...layers])
  return { written, whole: below.reduce((sum, bytes) => sum + bytes, written) }
}

/** In bytes, of all that is in each of these directories. */
export const sizesOf = (engine: Engine, directories: readonly string[]): readonly number[] =>
  asOwner(engine, () => directories.map((directory) => diskUsage(engine.machine.native, directory)))
