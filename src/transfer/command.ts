/** What every command of this door gets. */

import type { RegistrySettings } from '../image/registry-settings-node.ts'
import type { Store } from '../image/store-node.ts'

export interface Surroundings {
  readonly settings: RegistrySettings
}

export type TransferCommand = (store: Store, words: readonly string[], surroundings: Surroundings) => Promise<void>
