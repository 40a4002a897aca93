/**
 * Bind mounts: something of the host is shown in the container.
 *
 * The tree is cloned out of sight, gets its attributes, and is attached only then, so that nobody ever sees it without them
 * (SECURITY-CHECKS S28). Existing attributes stay unless an option clears them: `ro` does not take `nosuid` away.
 *
 * Source: oci:runtime-spec/config.md#mounts, open_tree(2), mount_setattr(2), move_mount(2)
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Slot, slot } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  fstatfs,
  O_PATH,
  openat2,
  PROC_SUPER_MAGIC,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  statx,
} from '../linux/files.ts'
import { type Attributes, cloneTree, MOUNT_ATTR_IDMAP, MS_PRIVATE, MS_SLAVE, mountSetattr } from '../linux/mount.ts'
import { type MountOptions, SUBPATH } from '../oci/mount-options.ts'
import { mapsKey, planIdmapNamespace } from './bind-idmap.ts'
import type { IdMaps } from './idmap.ts'
import { attributeChanges, mergeChanges, propagationChanges } from './mounts-flags.ts'
import type { Step } from './plan.ts'
import { attachTo, type TargetPlan } from './targets.ts'

/** What of the request concerns every bind mount. */
export interface BindContext {
  /**
   * `executor`: the host's paths are looked up with the privilege of the caller, since the root of a user namespace may not be allowed to
   * go there.
   */
  readonly sourcesOpenedBy: 'executor' | 'init'
  /** What the mounts of the host become for the container; with `shared`, a bind mount stays a peer of what it shows. */
  readonly hostMounts: 'slave' | 'private' | 'shared'
  readonly isRootless: boolean
  /** Of the container's user namespace, for `idmap` without mappings. */
  readonly containerMaps: IdMaps
  /** The same if that namespace is joined: the executor has it open. */
  readonly userNamespace?: Slot | undefined
  /** Namespaces that are only id maps and that the plan has made, by `mapsKey`. */
  readonly idmaps: Map<string, Slot>
}

export interface Bind {
  readonly index: number
  /** Absolute. */
  readonly source: string
  readonly destination: string
  readonly options: MountOptions
  /** The mount's own id maps; empty for those of the container. */
  readonly maps: IdMaps
  readonly target: TargetPlan
}

export interface BindPlan {
  /** For the executor, before it makes init. */
  readonly before: readonly Step[]
  /** For init. */
  readonly steps: readonly Step[]
}

export function planBind(bind: Bind, context: BindContext): BindPlan {
  const { index, source, destination, options } = bind
  const recursive = options.bind?.recursive ?? false
  const byExecutor = isOpenedByExecutor(bind, context)
  const tree = slot(byExecutor ? `source-${index}` : 'source')
  const subpath = subpathOf(options)
  const found = slot('bind-subpath')
  const clone: Step = {
    call: subpath === undefined ? cloneTree(AT_FDCWD, source, { recursive }) : cloneTree(found, '', { recursive }),
    why: `take ${subpath ?? source} of the host for ${destination} (mounts[${index}].source)`,
    see: ['open_tree(2)', 'oci:runtime-spec/config.md#mounts'],
    into: tree,
  }
  const idmap = planIdmap(bind, context)
  const changes = [
    ...(byExecutor ? fromTheHost(context) : []),
    ...(idmap === undefined ? [] : [idmap.change]),
    ...attributeChanges(options),
    ...propagationChanges(options),
  ]
  const set = mergeChanges(recursive ? changes : changes.map((change) => ({ ...change, recursive: false }))).map(
    (change) => setAttributes(tree, change, bind),
  )
  const check = destination === '/proc' ? checkProcRoot(tree, source) : []
  const attach: Step = {
    call: attachTo(tree, bind.target.target),
    why: `show ${source} of the host at ${destination}`,
    see: ['move_mount(2)'],
  }
  const find = subpath === undefined ? [] : findBelow({ source, subpath, into: found })
  const prepared = [...(idmap?.steps ?? []), ...find, clone, ...check, ...set]
  return byExecutor
    ? { before: prepared, steps: [...bind.target.steps, attach] }
    : { before: [], steps: [...prepared, ...bind.target.steps, attach] }
}

/** The value of the option; undefined without it. */
export const subpathOf = ({ data }: MountOptions): string | undefined => data.find(({ key }) => key === SUBPATH)?.value

/** Whoever writes to the source may have put links on the way: they are followed, but not out of it (SECURITY-CHECKS S21). openat2(2) */
function findBelow(path: { readonly source: string; readonly subpath: string; readonly into: Slot }): readonly Step[] {
  const { source, subpath, into } = path
  const from = slot('bind-volume')
  return [
    {
      call: openat2(AT_FDCWD, source, O_PATH, 0),
      why: `look for ${subpath} below ${source}`,
      see: ['openat2(2)'],
      into: from,
    },
    {
      call: openat2(from, subpath, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS),
      why: `find ${subpath}, without leaving ${source}`,
      see: ['openat2(2)'],
      into,
      retry: ['EAGAIN'],
    },
  ]
}

/** Only who has privilege over the file system may translate its ids, and only the host's mounts have peers: both is the executor. */
const isOpenedByExecutor = ({ options }: Bind, context: BindContext): boolean =>
  context.sourcesOpenedBy === 'executor' ||
  options.idmap !== undefined ||
  (context.hostMounts === 'shared' && !context.isRootless)

/** A clone in the executor is a peer of the host's mount: what the container mounts in it would appear on the host (SECURITY-CHECKS S29). */
function fromTheHost({ hostMounts }: BindContext): readonly Attributes[] {
  if (hostMounts === 'shared') return []
  return [{ set: 0, propagation: hostMounts === 'private' ? MS_PRIVATE : MS_SLAVE, recursive: true }]
}

function setAttributes(tree: Slot, change: Attributes, { source, destination, index }: Bind): Step {
  const below = change.recursive === true ? ', with all below it' : ''
  return {
    call: mountSetattr(tree, change),
    why: `give ${source} at ${destination} its attributes${below} (mounts[${index}].options)`,
    see: ['mount_setattr(2)'],
  }
}

export interface Idmap {
  /** For the executor: what there has to be before. */
  readonly steps: readonly Step[]
  readonly change: Attributes
}

/** Undefined for a mount that does not ask for it. */
export function planIdmap(
  { index, options, maps }: Pick<Bind, 'index' | 'options' | 'maps'>,
  context: BindContext,
): Idmap | undefined {
  if (options.idmap === undefined) return undefined
  if (context.isRootless) {
    throw new OperationError({
      kind: 'unsupported',
      operation: 'plan the mounts',
      reason: `mounts[${index}].options asks for an idmapped mount, which takes privilege over the file system`,
      hint: 'take the option out, or run as root',
      see: ['mount_setattr(2)'],
    })
  }
  const change = (userNamespace: Slot): Attributes => ({
    set: MOUNT_ATTR_IDMAP,
    userNamespace,
    recursive: options.idmap?.recursive ?? false,
  })
  const isOwn = maps.uid.length > 0
  if (!isOwn && context.userNamespace !== undefined) return { steps: [], change: change(context.userNamespace) }
  const wanted = isOwn ? maps : context.containerMaps
  const key = mapsKey(wanted)
  const known = context.idmaps.get(key)
  if (known !== undefined) return { steps: [], change: change(known) }
  const namespace = slot(`idmap-${context.idmaps.size}`)
  context.idmaps.set(key, namespace)
  return { steps: planIdmapNamespace(wanted, namespace), change: change(namespace) }
}

const PROC_ROOT_INODE = 1

/** Files of any other tree, or of a part of procfs, would fool whoever trusts /proc (SECURITY-CHECKS S20). */
function checkProcRoot(tree: Slot, source: string): readonly Step[] {
  const statfs = buffer('bind-statfs', 120)
  const stat = buffer('bind-statx', 256)
  const why = `be sure that ${source} is the root of a procfs, which is all that may cover /proc`
  return [
    {
      call: fstatfs(tree, statfs),
      why,
      see: ['statfs(2)'],
      check: { in: statfs, offset: 0, sizeBytes: 4, equals: PROC_SUPER_MAGIC, errno: 'EPERM' },
    },
    {
      // stx_ino is at 32; fs/proc/root.c gives the root the first inode number.
      call: statx(tree, '', AT_EMPTY_PATH, STATX_INO, stat),
      why,
      see: ['statx(2)'],
      check: { in: stat, offset: 32, sizeBytes: 4, equals: PROC_ROOT_INODE, errno: 'EPERM' },
    },
  ]
}

const STATX_INO = 0x100
