/**
 * The option `tmpcopyup`: a new tmpfs begins with a copy of what it covers.
 *
 * A plan has no loops, so it holds a few steps for each file, and the list of files is a fact about the machine like others: somebody
 * reads it before (MountsRequest.listTree). A file that has gone or changed its size since then is an error, not half a copy. Contents,
 * owners, modes, links and devices are copied; times and extended attributes are not, as with runc.
 */

import { OperationError } from '../base/errors.ts'
import { type Call, type Slot, slot } from '../linux/call.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  fchmodat,
  fchownat,
  mkdirat,
  mknodat,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_WRONLY,
  openat2,
  openBeneath,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  symlinkat,
} from '../linux/files.ts'
import type { Step } from './plan.ts'
import type { Target } from './targets.ts'

/** One of the things below a directory. */
export type TreeEntry = {
  /** Below that directory, without a slash at its begin or end. */
  readonly path: string
  /** Permission bits, with set-id and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
} & (
  | { readonly kind: 'directory' }
  | { readonly kind: 'file'; readonly sizeBytes: number }
  | { readonly kind: 'symlink'; readonly target: string }
  /** A device, pipe or socket: `type` is S_IFCHR and so on, `device` as mknod(2) takes it. */
  | { readonly kind: 'node'; readonly type: number; readonly device: number }
)

interface Copy {
  /** Of the mount: its place in `mounts`, and its clean destination. */
  readonly planned: { readonly index: number; readonly destination: string }
  /** The directory that is covered, opened before it was. */
  readonly target: Target
  /** The root of the tmpfs. */
  readonly root: Slot
}

/** A plan of more would not fit into a frame of the executor's. */
const MAX_ENTRIES = 4096

/** `entries` has a directory before what is in it. Throws `unsupported` for too many. */
export function copyUp(copy: Copy, entries: readonly TreeEntry[] | undefined): readonly Step[] {
  if (entries === undefined) return []
  const { index, destination } = copy.planned
  if (entries.length > MAX_ENTRIES) {
    throw new OperationError({
      kind: 'unsupported',
      operation: 'plan the mounts',
      reason: `mounts[${index}].options has tmpcopyup, and ${destination} holds ${entries.length} files; at most ${MAX_ENTRIES} are copied`,
      hint: 'use a bind mount of a copy',
    })
  }
  return entries.flatMap((entry) => copyEntry(entry, copy))
}

function copyEntry(entry: TreeEntry, copy: Copy): readonly Step[] {
  const { root } = copy
  const why = `copy ${copy.planned.destination}/${entry.path} into the tmpfs`
  const step = (call: Call): Step => ({ call, why, see: ['tmpfs(5)'] })
  const owned =
    entry.uid === 0 && entry.gid === 0
      ? []
      : [step(fchownat(root, entry.path, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW))]
  switch (entry.kind) {
    case 'symlink':
      return [step(symlinkat(entry.target, root, entry.path)), ...owned]
    case 'directory':
      return [step(mkdirat(root, entry.path, entry.mode)), ...owned, ...setIds(entry, root, step)]
    case 'node':
      return [
        step(mknodat(root, entry.path, entry.type | entry.mode, entry.device)),
        ...owned,
        ...setIds(entry, root, step),
      ]
    case 'file':
      return [...copyFile(entry, copy, why), ...owned, ...setIds(entry, root, step)]
  }
}

/** mkdir(2) keeps fewer bits than these, and chown(2) takes them away. */
const setIds = ({ mode, path }: TreeEntry, root: Slot, step: (call: Call) => Step): readonly Step[] =>
  (mode & 0o7000) === 0 ? [] : [step(fchmodat(root, path, mode))]

function copyFile(entry: TreeEntry & { readonly kind: 'file' }, { target, root }: Copy, why: string): readonly Step[] {
  const from = slot('copy-from')
  const to = slot('copy-to')
  const flags = O_WRONLY | O_CREAT | O_EXCL
  const create: Step = {
    call: openat2(root, entry.path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, entry.mode),
    why,
    see: ['openat2(2)'],
    into: to,
  }
  if (entry.sizeBytes === 0) return [create]
  return [
    { call: openBeneath(target.dir, entry.path, O_RDONLY), why, see: ['openat2(2)'], into: from },
    create,
    {
      // copy_file_range(2) does not go from one file system to another.
      call: { name: 'sendfile', args: [to, from, 0, entry.sizeBytes] },
      why,
      see: ['sendfile(2)'],
      check: { result: entry.sizeBytes, errno: 'EIO' },
    },
  ]
}
