/**
 * Where in the container a mount, a device or a mask goes: a descriptor, never a path that the kernel would look up once more.
 *
 * The tree below ROOT is the image's: its symbolic links may lead anywhere, and others may change it while we look. So a path in it is
 * resolved once, as the container would (openat2 with RESOLVE_IN_ROOT), and only the descriptor is used (SECURITY-CHECKS S17, S18). File
 * systems that this plan has mounted itself are different: what is below their root is known, and costs no look-up.
 *
 * Contract of all plans of the file system, set up by rootfs.ts: the current directory is the host's procfs, so `self/fd/N` names a
 * descriptor for calls that only take paths, and the umask is 0.
 */

import { buffer, type Call, type Slot, slot, type Text, text } from '../linux/call.ts'
import {
  fstatfs,
  mkdirat,
  mknodat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_PATH,
  openat2,
  openInRoot,
  PROC_SUPER_MAGIC,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  S_IFREG,
} from '../linux/files.ts'
import { attach, attachAt } from '../linux/mount.ts'
import type { Host } from './host.ts'
import type { Step } from './plan.ts'
import { ROOT } from './slots.ts'

/** A directory or file of the container: `path` below the open directory `dir`, or `dir` itself if the path is empty. */
export interface Target {
  readonly dir: Slot
  readonly path: string
}

/** What the plan has mounted at a path of the container. */
export interface Place {
  /** The root of that mount; undefined where nothing later lies in it. */
  readonly dir?: Slot | undefined
  /**
   * `fresh`: empty when it was mounted, and out of everybody else's reach. `kernel`: all names in it are the kernel's.
   * `foreign`: whatever somebody put there.
   */
  readonly content: 'fresh' | 'kernel' | 'foreign'
}

/** Cleaned destination → what the plan has mounted there; the root is not among them. */
export type Places = ReadonlyMap<string, Place>

/** An absolute path without `.`, `..`, empty parts and slash at its end, as Go's filepath.Clean does; the root is `/`. */
export function cleanPath(path: string): string {
  // Most paths are clean, and the embedded engine is slow at taking them apart.
  if (path.startsWith('/') && !/\/(?:\/|\.\.?(?:\/|$)|$)/.test(path)) return path
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

export const isBelow = (path: string, directory: string): boolean =>
  directory === '/' ? path !== '/' : path.startsWith(directory) && path[directory.length] === '/'

/** The directory that holds `path`, which is clean. */
export const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 1))

/** `target` for calls that take a path: through the procfs that is the current directory. */
export const pathTo = ({ dir, path }: Target): Text =>
  path === '' ? text('self/fd/', dir) : text('self/fd/', dir, `/${path}`)

/** Attaches a detached tree at `target`. */
export const attachTo = (tree: Slot, { dir, path }: Target): Call =>
  path === '' ? attach(tree, dir) : attachAt(tree, dir, path)

export interface TargetRequest {
  /** Clean. */
  readonly path: string
  readonly kind: 'file' | 'directory'
  /** For what, completing "make … for"; e.g. `the mount of /srv`. */
  readonly purpose: string
  readonly places: Places
  readonly architecture: Host['architecture']
  /** Refuse symbolic links on the way. */
  readonly isExact?: boolean | undefined
  /** Of a directory that is missing; 0755 if not given. */
  readonly mode?: number | undefined
  /** Keeps the descriptor beyond the next target that is planned. */
  readonly into?: Slot | undefined
}

export interface TargetPlan {
  readonly steps: readonly Step[]
  readonly target: Target
}

const SEE_OPEN = ['openat2(2)'] as const
const TARGET = slot('target')
const PARENT = slot('target-parent')

/** What is missing is made; a dangling link is an error: mounts.ts follows that in the place of a file before. The descriptor is good until the next target, unless it has a slot of its own. */
export function planTarget(request: TargetRequest): TargetPlan {
  const { path, places, kind } = request
  const here = places.get(path)
  if (here?.dir !== undefined) return { steps: [], target: { dir: here.dir, path: '' } }
  if (path === '/') return { steps: [], target: { dir: ROOT, path: '' } }
  const [at, place] = placeOf(path, places)
  if (place.dir !== undefined && here === undefined && place.content !== 'foreign') {
    const target = { dir: place.dir, path: path.slice(at.length + 1) }
    return { steps: place.content === 'fresh' ? makeFresh(target, kind, request) : [], target }
  }
  return { steps: openTarget(request), target: { dir: request.into ?? TARGET, path: '' } }
}

/** Opens what is at a path of the container, the root of a mount if there is one. */
export const openExisting = (path: string, why: string, into: Slot): Step => ({
  call: openInRoot(ROOT, path, O_PATH),
  why,
  see: SEE_OPEN,
  into,
  retry: ['EAGAIN'],
})

/**
 * Opens the root of what was just mounted on `target`, without looking up its path again.
 *
 * `..` of a root directory goes nowhere, but on to what is mounted over it: fs/namei.c, follow_dotdot.
 */
export const openMounted = ({ dir, path }: Target, why: string, into: Slot): Step => ({
  call: path === '' ? openat2(dir, '..', O_PATH, RESOLVE_IN_ROOT) : openInRoot(dir, path, O_PATH),
  why,
  see: SEE_OPEN,
  into,
  retry: ['EAGAIN'],
})

/** The deepest of the places that holds `path`, and where that is. */
export function placeOf(path: string, places: Places): readonly [string, Place] {
  for (let at = parentOf(path); at !== '/'; at = parentOf(at)) {
    const place = places.get(at)
    if (place !== undefined) return [at, place]
  }
  return ['/', { content: 'foreign' }]
}

const DIRECTORY_MODE = 0o755
/** An empty file to mount on keeps its mode in the image, should that be kept. */
const FILE_MODE = 0o644

/** No name in a file system that only this plan has written to is a link, so that whole paths may be given to the kernel. */
function makeFresh({ dir, path }: Target, kind: 'file' | 'directory', request: TargetRequest): readonly Step[] {
  const why = `make ${request.path} for ${request.purpose}`
  const names = path.split('/')
  return names.map((_, index): Step => {
    const isLast = index === names.length - 1
    const name = names.slice(0, index + 1).join('/')
    const make =
      isLast && kind === 'file'
        ? mknodat(dir, name, S_IFREG | FILE_MODE, 0)
        : mkdirat(dir, name, isLast ? (request.mode ?? DIRECTORY_MODE) : DIRECTORY_MODE)
    return { call: make, why, see: ['mkdir(2)'], tolerate: ['EEXIST'] }
  })
}

/** Resolves a path of the image. It is tried first: most targets exist. */
function openTarget(request: TargetRequest): readonly Step[] {
  const { path, purpose, isExact = false, kind, architecture, into = TARGET } = request
  const flags = kind === 'directory' ? O_PATH | O_DIRECTORY[architecture] : O_PATH
  const open: Step = {
    call: isExact
      ? openat2(ROOT, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)
      : openInRoot(ROOT, path, flags),
    why: `take ${path} of the container for ${purpose}`,
    see: SEE_OPEN,
    into,
    // The kernel could not be sure that a path with `..` or a link stayed below the root while something was renamed.
    retry: ['EAGAIN'],
  }
  const check = isExact ? [] : [refuseProcfs(path, into)]
  if (kind === 'directory' && parentOf(path) === '/') return [makeIn(ROOT, path, request), open, ...check]
  return [{ ...open, tolerate: ['ENOENT'], otherwise: makeMissing(open, request) }, ...check]
}

/** A link of the image may lead into procfs, where a mount would fool whoever trusts it (SECURITY-CHECKS S20). */
function refuseProcfs(path: string, target: Slot): Step {
  const statfs = buffer('target-statfs', 120)
  return {
    call: fstatfs(target, statfs),
    why: `be sure that ${path} of the container is not inside a procfs`,
    see: ['statfs(2)'],
    check: { in: statfs, offset: 0, sizeBytes: 4, differs: PROC_SUPER_MAGIC, errno: 'EPERM' },
  }
}

/**
 * Makes one part after the other in the directory that was opened before it (SECURITY-CHECKS S33).
 *
 * mkdirat(2) never follows a link in the one name it gets; opening does, below the root, and fails with ENOENT if it dangles.
 */
function makeMissing(open: Step, request: TargetRequest): readonly Step[] {
  const { path, kind, purpose } = request
  const names = path.split('/').slice(1)
  const parents = kind === 'file' ? names.slice(0, -1) : names
  const steps: Step[] = []
  for (let index = 0; index < parents.length; index++) {
    const prefix = `/${names.slice(0, index + 1).join('/')}`
    steps.push(makeIn(index === 0 ? ROOT : PARENT, prefix, request))
    // The next name is made in this directory; a file is made by its whole path, and the last directory is the target.
    if (index < parents.length - 1) steps.push(openParent(prefix, request))
  }
  if (kind === 'directory') return [...steps, open]
  const flags = O_CREAT | O_EXCL
  const create = openat2(ROOT, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, FILE_MODE)
  const why = `make ${path} in the container for ${purpose}`
  return [...steps, { call: create, why, see: SEE_OPEN, into: open.into ?? TARGET, retry: ['EAGAIN'] }]
}

const openParent = (prefix: string, { purpose, architecture }: TargetRequest): Step => ({
  call: openInRoot(ROOT, prefix, O_PATH | O_DIRECTORY[architecture]),
  why: `go into ${prefix} of the container for ${purpose}`,
  see: SEE_OPEN,
  into: PARENT,
  retry: ['EAGAIN'],
})

/** Makes the last part of `prefix` in the open directory `dir`. */
function makeIn(dir: Slot, prefix: string, { path, purpose, mode = DIRECTORY_MODE }: TargetRequest): Step {
  const name = prefix.slice(prefix.lastIndexOf('/') + 1)
  return {
    call: mkdirat(dir, name, prefix === path ? mode : DIRECTORY_MODE),
    why: `make ${prefix} in the container for ${purpose}`,
    see: ['mkdir(2)'],
    tolerate: ['EEXIST'],
  }
}
