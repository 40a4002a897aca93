/**
 * A copy-on-write view of the host's root in a user namespace.
 *
 * There the mounts of the host are locked to one another, and the kernel takes no directory as a layer that has some of them in it: what they
 * cover would come to light. So the view is put together: an overlay for each directory without mounts below, and on the way to the mounts
 * directories in memory. What is mounted below the root is not in the view, as it is not in an overlay of the whole.
 *
 * Source: fs/namespace.c, clone_private_mount; mount_namespaces(7) "Restrictions on mount namespaces"
 */

import { type Slot, slot, type Text, text } from '../linux/call.ts'
import { AT_FDCWD, close, mkdirat, O_CREAT, O_EXCL, O_PATH, O_WRONLY, openat, symlinkat } from '../linux/files.ts'
import { attachAt, cloneTree, MOUNT_ATTR_RDONLY, MS_NODEV, MS_NOSUID, mountSetattr, newMount } from '../linux/mount.ts'
import type { Ref, Step } from './plan.ts'

/** What is in a directory of the host, and how it can be shown. */
export type HostPart = { readonly name: string } & (
  | { readonly kind: 'overlay' }
  /** A directory that has mounts in it. */
  | { readonly kind: 'parts'; readonly parts: readonly HostPart[] }
  /** A mount point, or a directory that the caller may not look into. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'file' }
  | { readonly kind: 'symlink'; readonly target: string }
)

export interface PartsRequest {
  readonly parts: readonly HostPart[]
  /** Where the view is mounted; two file systems in memory go there, of which the upper one is in sight. */
  readonly target: Text
  readonly root: Slot
  readonly layers: Slot
  /** The options of the file system in memory that holds what is written. */
  readonly layer: string
  /** MS_ flags of the overlays. */
  readonly flags: number
  /** Opens what is mounted at `target`. */
  readonly open: (into: Slot) => Step
}

const SEE: readonly Ref[] = ['kernel:filesystems/overlayfs.rst', 'mount_namespaces(7)']

export function planParts(request: PartsRequest): readonly Step[] {
  const { parts, target, root, layers, layer, open } = request
  const why = 'have a place for what is written'
  const memory = newMount({ type: 'tmpfs', source: 'coffer', target, flags: MS_NOSUID | MS_NODEV, data: layer })
  return [
    { call: memory, why, see: SEE },
    open(layers),
    { call: memory, why: 'have a root to put the view together in', see: SEE },
    open(root),
    ...parts.flatMap((part) => planPart(part, { request, dir: root, path: '' })),
  ]
}

interface Parent {
  readonly request: PartsRequest
  /** In the view. */
  readonly dir: Slot
  /** On the host, without a slash at its end. */
  readonly path: string
}

function planPart(part: HostPart, parent: Parent): readonly Step[] {
  const { name } = part
  const path = `${parent.path}/${name}`
  const make = { call: mkdirat(parent.dir, name, 0o755), why: `have a directory ${path}`, see: SEE }
  switch (part.kind) {
    case 'empty':
      return [make]
    case 'symlink':
      return [{ call: symlinkat(part.target, parent.dir, name), why: `show the link ${path}`, see: ['symlink(2)'] }]
    case 'file':
      return planFile(name, parent)
    case 'overlay':
      return [make, ...planOverlay(name, parent)]
    case 'parts':
      return [make, ...planDirectory(part.parts, name, parent)]
  }
}

function planDirectory(parts: readonly HostPart[], name: string, parent: Parent): readonly Step[] {
  const path = `${parent.path}/${name}`
  const dir = slot(`view ${path}`)
  const why = `put a view of ${path} together`
  return [
    { call: openat(parent.dir, name, O_PATH), why, see: SEE, into: dir },
    ...parts.flatMap((part) => planPart(part, { ...parent, dir, path })),
    { call: close(dir), why, see: ['close(2)'] },
  ]
}

function planOverlay(name: string, { request, dir, path }: Parent): readonly Step[] {
  const { layers, flags } = request
  const from = `${path}/${name}`
  const directory = layerName(from)
  const at = (kind: string): readonly (string | Slot)[] => ['self/fd/', layers, `/${directory}/${kind}`]
  const why = `have a place for what is written below ${from}`
  return [
    { call: mkdirat(layers, directory, 0o755), why, see: SEE },
    ...['upper', 'work'].map((kind): Step => ({ call: mkdirat(layers, `${directory}/${kind}`, 0o755), why, see: SEE })),
    {
      call: newMount({
        type: 'overlay',
        source: 'overlay',
        target: text('self/fd/', dir, `/${name}`),
        flags,
        data: text(`userxattr,lowerdir=${escaped(from)},upperdir=`, ...at('upper'), ',workdir=', ...at('work')),
      }),
      why: `show ${from} of the host, and keep what is written apart`,
      see: SEE,
      // It went since the host was looked at.
      tolerate: ['ENOENT'],
    },
  ]
}

/** One directory for all layers of a path: a name that no other path has, without what means something to overlay. */
export const layerName = (path: string): string =>
  path.slice(1).replace(/[^\w.-]/g, (character) => `=${character.charCodeAt(0).toString(16)}=`)

/** A colon separates layers, a comma options. */
const escaped = (path: string): string => path.replace(/[\\:,]/g, '\\$&')

/** Overlays are of directories; a file alone is shown read-only. */
function planFile(name: string, { dir, path }: Parent): readonly Step[] {
  const why = `show the file ${path}/${name} of the host`
  const file = slot('view-file')
  const tree = slot('view-tree')
  return [
    { call: openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0o644), why, see: SEE, into: file },
    { call: close(file), why, see: ['close(2)'] },
    {
      call: cloneTree(AT_FDCWD, `${path}/${name}`, { recursive: false }),
      why,
      see: SEE,
      into: tree,
      // It went since the host was looked at.
      tolerate: ['ENOENT'],
      then: [
        { call: mountSetattr(tree, { set: MOUNT_ATTR_RDONLY }), why, see: SEE },
        { call: attachAt(tree, dir, name), why, see: SEE },
        { call: close(tree), why, see: ['close(2)'] },
      ],
    },
  ]
}
