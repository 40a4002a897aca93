/**
 * File systems that show a namespace which the container joins, where it has a user namespace of its own: only who has privilege over the joined
 * namespace may mount them, so they are made before that privilege is given up, and attached behind it.
 *
 * | made in                        | because the file system shows the namespace of the process that makes it |
 * |--------------------------------|---------------------------------------------------------------------------|
 * | init, before its user namespace | if a pid namespace is joined: only children of the stage are in it        |
 * | the stage                      | otherwise                                                                 |
 *
 * Source: fsopen(2), fsconfig(2), fsmount(2), user_namespaces(7)
 */

import { type Slot, slot } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { fsconfigCreate, fsconfigFlag, fsconfigString, fsmount, fsopen, mountSetattr } from '../linux/mount.ts'
import { attributeChanges, mergeChanges } from './mounts-flags.ts'
import type { PlannedMount } from './mounts-request.ts'
import type { Ref, Step } from './plan.ts'

const SEE: readonly Ref[] = ['fsopen(2)', 'user_namespaces(7)']

export interface ForeignMount {
  readonly steps: readonly Step[]
  /** What is to be attached. */
  readonly tree: Slot
}

export function planForeign({ mount, index, destination, options }: PlannedMount, type: string): ForeignMount {
  const why = `make the ${type} for ${destination} as long as coffer may (mounts[${index}])`
  const fs = slot('foreign-file-system')
  const tree = slot(`foreign-${index}`)
  const step = (call: Step['call'], into?: Slot): Step => ({
    call,
    why,
    see: SEE,
    ...(into === undefined ? {} : { into }),
  })
  const changes = mergeChanges(attributeChanges(options).map((change) => ({ ...change, recursive: false })))
  return {
    tree,
    steps: [
      step(fsopen(type), fs),
      step(fsconfigString(fs, 'source', mount.source ?? type)),
      ...options.data.map(({ key, value }) =>
        step(value === undefined ? fsconfigFlag(fs, key) : fsconfigString(fs, key, value)),
      ),
      step(fsconfigCreate(fs)),
      step(fsmount(fs, 0), tree),
      step(close(fs)),
      ...changes.map((change) => step(mountSetattr(tree, change))),
    ],
  }
}
