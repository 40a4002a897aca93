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

const NONE = hooksOf(sectionOf({}, ''))

/** What the record says of them, so that most configurations need not be parsed again to know that there are none. */
export const hookKinds = (hooks: Hooks): readonly string[] =>
  Object.entries(hooks).flatMap(([kind, list]) => (list.length === 0 ? [] : [kind]))

export function recordedHooks(record: StateRecord, directory: string): RecordedHooks {
  const { ociVersion, bundle, annotations } = record
  if (record.hooks?.length === 0) return { hooks: NONE, state: { ociVersion, bundle, annotations } }
  const section = sectionOf(record.config, `${directory}/state.json: `)
  return { hooks: hooksOf(section), state: { ociVersion: ociVersionOf(section), bundle, annotations } }
}
