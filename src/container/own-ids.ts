/** The ids that a caller without privilege can give to a container: all that it has, so that programs of many users run in it. */

import type { Files } from '../base/files.ts'
import { isInitialUserNamespace } from '../observe/host.ts'
import { type IdRange, readGidMap, readStatusField, readUidMap } from '../observe/process.ts'
import { readSubIds, type SubIdRange } from '../observe/subids.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import type { Host } from '../plan/host.ts'
import { mapperPaths } from '../plan/idmap.ts'
import { ownerName } from './host.ts'
import type { Machine } from './machine.ts'

export interface OwnIds {
  readonly uidMappings: readonly IdMapping[]
  readonly gidMappings: readonly IdMapping[]
}

/**
 * | caller                                       | container root is | others are                    |
 * |----------------------------------------------|-------------------|-------------------------------|
 * | root of a user namespace                     | itself            | all ids of that namespace     |
 * | a user with ranges in /etc/subuid and subgid | the user          | those ranges, from 1 on       |
 * | any other user                               | the user          | not there                     |
 */
export function ownIds(machine: Pick<Machine, 'files'>, host: Host): OwnIds {
  const { files } = machine
  if (host.canMapIds && host.hostUid === 0 && !isInitialUserNamespace(files))
    return { uidMappings: sameIds(readUidMap(files, 'self')), gidMappings: sameIds(readGidMap(files, 'self')) }
  const name = ownerName(machine, host.hostUid)
  const { uids, gids } = canUseMappers(files) ? readSubIds(files, { uid: host.hostUid, name }) : NONE
  // newuidmap(1) does nothing for a user that it cannot name.
  const isUsable = uids.length > 0 && gids.length > 0 && name !== `${host.hostUid}`
  return {
    uidMappings: rangesFrom(host.hostUid, isUsable ? uids : []),
    gidMappings: rangesFrom(host.hostGid, isUsable ? gids : []),
  }
}

const NONE: { readonly uids: readonly SubIdRange[]; readonly gids: readonly SubIdRange[] } = { uids: [], gids: [] }

/** They are set-uid root, which no_new_privs takes from them. */
const canUseMappers = (files: Files): boolean =>
  readStatusField(files, 'self', 'NoNewPrivs') !== '1' &&
  (['newuidmap', 'newgidmap'] as const).every((program) =>
    mapperPaths(program).some((path) => files.status(path) !== undefined),
  )

const sameIds = (ranges: readonly IdRange[] = []): readonly IdMapping[] =>
  ranges.map(({ containerId, size }) => ({ containerID: containerId, hostID: containerId, size }))

function rangesFrom(root: number, ranges: readonly SubIdRange[]): readonly IdMapping[] {
  const mappings: IdMapping[] = [{ containerID: 0, hostID: root, size: 1 }]
  let next = 1
  for (const { hostId, size } of ranges) {
    mappings.push({ containerID: next, hostID: hostId, size })
    next += size
  }
  return mappings
}
