/** The ids that files of layers may have where a user namespace says which there are: for a user without privilege over the machine. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { isInitialUserNamespace } from '../observe/host.ts'
import { type IdRange, readGidMap, readUidMap } from '../observe/process.ts'
import type { TarEntry } from './tar.ts'

export interface LayerIds {
  /** There is one: all files belong to it. */
  readonly isOne: boolean
  readonly uids: readonly IdRange[]
  readonly gids: readonly IdRange[]
}

/** Undefined in the first user namespace, which has all. */
export function readLayerIds(files: Files): LayerIds | undefined {
  if (isInitialUserNamespace(files)) return undefined
  const [uids = [], gids = []] = [readUidMap(files, 'self'), readGidMap(files, 'self')]
  const isOne = [uids, gids].every(([only, ...more]) => only?.size === 1 && more.length === 0)
  return { isOne, uids, gids }
}

interface Owned {
  readonly path: string
  readonly uid: number
  readonly gid: number
}

/** The owner that a file gets. Throws `unsupported` for one that the namespace has not. */
export function ownerIn(ids: LayerIds, { path, uid, gid }: Owned): Pick<Owned, 'uid' | 'gid'> {
  if (ids.isOne) return { uid: 0, gid: 0 }
  if (has(ids.uids, uid) && has(ids.gids, gid)) return { uid, gid }
  const count = (ranges: readonly IdRange[]): number => ranges.reduce((sum, { size }) => sum + size, 0)
  throw new OperationError({
    kind: 'unsupported',
    operation: `unpack ${JSON.stringify(path)}`,
    reason: `it belongs to user ${uid} and group ${gid}, and this user has ${count(ids.uids)} ids for users and ${count(ids.gids)} for groups`,
    hint: 'have root add to them: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER',
    see: ['subuid(5)', 'user_namespaces(7)'],
  })
}

/** Others take privilege over the machine; an image goes without them, as with docker. xattr(7) */
export const settableIn = ({ xattrs }: Pick<TarEntry, 'xattrs'>): TarEntry['xattrs'] =>
  new Map([...xattrs].filter(([name]) => !/^(?:trusted|security)\./.test(name) || name === 'security.capability'))

const has = (ranges: readonly IdRange[], id: number): boolean =>
  ranges.some(({ containerId, size }) => id >= containerId && id < containerId + size)
