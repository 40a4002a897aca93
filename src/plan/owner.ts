/**
 * A process becomes the root of a user namespace of its own, with the ids that containers of this user have: so files of those ids are its to
 * make, read and remove. It stays in all other namespaces. user_namespaces(7)
 */

import { openHostProc } from './host-proc.ts'
import type { IdMaps } from './idmap.ts'
import { learnPid } from './outside.ts'
import type { Plan } from './plan.ts'
import { planNewNamespaces, planOutside, planOwnMaps } from './unshare.ts'

/** 0 of the maps is the caller. With `canMapIds` it may map ids by itself. */
export function planOwner({ canMapIds, ...ids }: IdMaps & { readonly canMapIds: boolean }): Plan {
  const by = ({ length }: IdMaps['uid']): 'own' | 'direct' | 'mapper' =>
    canMapIds ? 'direct' : length === 1 ? 'own' : 'mapper'
  const maps = { ...ids, by: { uid: by(ids.uid), gid: by(ids.gid) } }
  const outside = planOutside(maps, [])
  return {
    operation: 'be the owner of the files of containers',
    steps: [
      ...openHostProc,
      learnPid,
      ...outside.make,
      ...planNewNamespaces([{ type: 'user' }]),
      ...outside.run,
      ...planOwnMaps({ maps }),
    ],
  }
}
