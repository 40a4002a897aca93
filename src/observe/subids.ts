/** The ids that a user may map into its user namespaces: /etc/subuid and /etc/subgid. subuid(5), subgid(5) */

import type { Files } from '../base/files.ts'

export interface SubIdRange {
  readonly hostId: number
  readonly size: number
}

/** A user by both of its names: the files may use either. */
export interface SubIdOwner {
  readonly uid: number
  readonly name?: string
}

/** Where the files come from nsswitch instead (libsubid plug-ins), newuidmap alone knows the ranges. */
export function readSubIds(
  files: Files,
  owner: SubIdOwner,
): { readonly uids: readonly SubIdRange[]; readonly gids: readonly SubIdRange[] } {
  return {
    uids: parseSubIds(files.readText('/etc/subuid') ?? '', owner),
    // The owner is a user here too, not a group.
    gids: parseSubIds(files.readText('/etc/subgid') ?? '', owner),
  }
}

/** Lines are `<name or uid>:<first id>:<count>`; newuidmap passes over those of another shape, and so does this. */
export function parseSubIds(text: string, { uid, name }: SubIdOwner): readonly SubIdRange[] {
  const ranges: SubIdRange[] = []
  for (const line of text.split('\n')) {
    const found = /^([^:#]+):(\d+):(\d+)$/.exec(line.trim())
    if (found === null || (found[1] !== name && found[1] !== String(uid))) continue
    const range = { hostId: Number(found[2]), size: Number(found[3]) }
    if (range.size > 0 && range.hostId + range.size <= 0xffff_ffff) ranges.push(range)
  }
  return ranges
}
