/** The hooks of a container that exists, without reading all of its configuration again: that was done when it was recorded. */

import { sectionOf } from '../base/field.ts'
import { type Hooks, hooksOf } from '../oci/hooks.ts'
import { ociVersionOf } from '../oci/version.ts'
import type { StateRecord } from './record.ts'

export interface RecordedHooks {
  readonly hooks: Hooks
  /** What hooks are told of the container beside its id, status and pid. */
  readonly state: {
    readonly ociVersion: string
    readonly bundle: string
    readonly annotations: Readonly<Record<string, string>>
  }
}

export function recordedHooks({ config, bundle, annotations }: StateRecord, directory: string): RecordedHooks {
  const section = sectionOf(config, `${directory}/state.json: `)
  return { hooks: hooksOf(section), state: { ociVersion: ociVersionOf(section), bundle, annotations } }
}
