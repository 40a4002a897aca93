/** What the lifecycle works with: the engine it runs in, the files of the machine, and where states are kept. */

import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'

export interface Machine {
  readonly native: Native
  readonly files: Files
  /** The run root: one directory for each container below it. Absolute. */
  readonly root: string
  readonly now: () => Date
}
