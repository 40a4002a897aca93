/**
 * Paths of the container that nobody shall read, or write, although its file systems have them.
 *
 * | path      | file                          | directory                  |
 * |-----------|-------------------------------|----------------------------|
 * | masked    | covered by /dev/null          | covered by an empty tmpfs  |
 * | read-only | bind mount of itself, read-only, with all that is mounted below |||
 *
 * A path that does not exist needs nothing. What lies in a procfs or sysfs that this plan has mounted is named below the root of that
 * mount, where all names are the kernel's; any other path is resolved below ROOT first (SECURITY-CHECKS S24, S45).
 *
 * Source: oci:runtime-spec/config-linux.md#masked-paths, #readonly-paths
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_NOFOLLOW,
  O_PATH,
  openat,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  STATX_BASIC_STATS,
  statx,
} from '../linux/files.ts'
import {
  attach,
  bindMount,
  cloneTree,
  MOUNT_ATTR_RDONLY,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  mountSetattr,
  mountSetattrAt,
  newMount,
} from '../linux/mount.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { cleanPath, openExisting, type Places, pathTo, placeOf, type Target } from './targets.ts'

export interface MasksRequest {
  /** Absolute paths of the container. */
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  readonly places: Places
  /** A directory in which the plan itself has made `null`; else that of the host is used. */
  readonly nullIn?: Slot | undefined
}

/** For init, behind mounts and devices. */
export function planMasks({ maskedPaths, readonlyPaths, places, nullIn }: MasksRequest, host: Host): readonly Step[] {
  const masks = maskedPaths.map((path) => planMask(cleanPath(path), places, host))
  const needsNull = masks.some(({ needsNull }) => needsNull)
  return [
    ...readonlyPaths.flatMap((path) => planReadonly(cleanPath(path), places)),
    ...(needsNull ? openNull(nullIn, host) : []),
    ...masks.map(({ step }) => step),
  ]
}

const SEE_MASKED: readonly Ref[] = ['mount(2)', 'oci:runtime-spec/config-linux.md#masked-paths']
const SEE_READONLY: readonly Ref[] = ['mount_setattr(2)', 'oci:runtime-spec/config-linux.md#readonly-paths']

/** struct statx: stx_mode, 2 bytes. statx(2) */
const STATX_MODE = 28

/** The device that covers files. */
const NULL = slot('null')

/** The container's /dev/null could be anything, as the image or a volume made it (SECURITY-CHECKS S24). */
function openNull(nullIn: Slot | undefined, { architecture }: Host): readonly Step[] {
  const why = 'have a /dev/null to cover files with'
  const flags = O_PATH | O_NOFOLLOW[architecture]
  if (nullIn !== undefined) return [{ call: openat(nullIn, 'null', flags), why, see: ['null(4)'], into: NULL }]
  const stat = buffer('null-statx', 256)
  const check = (offset: number, mask: number, equals: number): Step => ({
    call: statx(NULL, '', AT_EMPTY_PATH, STATX_BASIC_STATS, stat),
    why: 'be sure that it is character device 1:3',
    see: ['statx(2)', 'null(4)'],
    check: { in: stat, offset, sizeBytes: offset === STATX_MODE ? 2 : 4, mask, equals, errno: 'ENODEV' },
  })
  return [
    { call: openat(AT_FDCWD, '/dev/null', flags), why, see: ['null(4)'], into: NULL },
    check(STATX_MODE, S_IFMT, S_IFCHR),
    check(128, 0xffffffff, 1),
    check(132, 0xffffffff, 3),
  ]
}

interface Mask {
  readonly step: Step
  readonly needsNull: boolean
}

/**
 * The host's procfs and sysfs tell what kind to expect, which spares a step. Should the container's differ, the mount fails with ENOTDIR,
 * and so does the start: nothing stays uncovered.
 */
function planMask(path: string, places: Places, host: Host): Mask {
  const target = inKernels(path, places)
  if (target === undefined) {
    const covered = { dir: COVERED, path: '' }
    const open = openExisting(path, `take ${path} of the container to cover it`, COVERED)
    return { step: { ...open, tolerate: UNREACHABLE, then: [coverByKind(path, covered)] }, needsNull: true }
  }
  switch (host.kindOf(path)) {
    case 'file':
      return { step: { ...coverFile(path, target), tolerate: ABSENT }, needsNull: true }
    case 'directory':
      return { step: { ...coverDirectory(path, target), tolerate: ABSENT }, needsNull: false }
    case 'absent':
      return { step: coverEither(path, target), needsNull: true }
  }
}

const COVERED = slot('covered')
const ABSENT: readonly ['ENOENT'] = ['ENOENT']
/** ENOTDIR: what should hold it is a file. */
const UNREACHABLE: readonly ['ENOENT', 'ENOTDIR'] = ['ENOENT', 'ENOTDIR']

/** Where a path is below the root of a procfs or sysfs that the plan has mounted and that nothing covers there. */
function inKernels(path: string, places: Places): Target | undefined {
  const [at, { dir, content }] = placeOf(path, places)
  if (dir === undefined || content !== 'kernel' || places.has(path)) return undefined
  return { dir, path: path.slice(at.length + 1) }
}

const coverFile = (path: string, target: Target): Step => ({
  call: bindMount(pathTo({ dir: NULL, path: '' }), pathTo(target), { recursive: false }),
  why: `hide ${path} behind /dev/null (linux.maskedPaths)`,
  see: SEE_MASKED,
})

const coverDirectory = (path: string, target: Target): Step => ({
  call: newMount({
    type: 'tmpfs',
    source: 'tmpfs',
    target: pathTo(target),
    flags: MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
    data: 'nr_inodes=1',
  }),
  why: `hide ${path} behind an empty directory (linux.maskedPaths)`,
  see: SEE_MASKED,
})

const KIND = buffer('covered-statx', 256)

/** A mount that fails waits for other processors, 80 µs, before it is taken away again: namespace_unlock in fs/namespace.c. */
const coverByKind = (path: string, target: Target): Step => ({
  call: statx(target.dir, '', AT_EMPTY_PATH, STATX_BASIC_STATS, KIND),
  why: `see what ${path} is`,
  see: ['statx(2)'],
  check: { in: KIND, offset: STATX_MODE, sizeBytes: 2, mask: S_IFMT, equals: S_IFDIR, errno: 'ENOTDIR' },
  tolerate: ['ENOTDIR'],
  then: [coverDirectory(path, target)],
  otherwise: [coverFile(path, target)],
})

/** ENOTDIR: a file cannot be mounted over a directory. */
const coverEither = (path: string, target: Target): Step => ({
  ...coverFile(path, target),
  tolerate: ['ENOTDIR', ...ABSENT],
  otherwise: [{ ...coverDirectory(path, target), tolerate: ABSENT }],
})

/** mount_setattr(2) adds the one attribute and keeps the others, of which a user namespace may not take away any (SECURITY-CHECKS S27). */
function planReadonly(path: string, places: Places): readonly Step[] {
  const why = `keep ${path} from being written (linux.readonlyPaths)`
  const target = inKernels(path, places)
  const change = { set: MOUNT_ATTR_RDONLY, recursive: true }
  if (target !== undefined) {
    const itself = pathTo(target)
    const set: Step = { call: mountSetattrAt(target.dir, target.path, change), why, see: SEE_READONLY }
    return [
      { call: bindMount(itself, itself, { recursive: true }), why, see: SEE_READONLY, tolerate: ABSENT, then: [set] },
    ]
  }
  const tree = slot('source')
  const step = (call: Step['call']): Step => ({ call, why, see: SEE_READONLY })
  return [
    {
      ...openExisting(path, why, COVERED),
      tolerate: UNREACHABLE,
      then: [
        { ...step(cloneTree(COVERED, '', { recursive: true })), into: tree },
        step(mountSetattr(tree, change)),
        step(attach(tree, COVERED)),
      ],
    },
  ]
}
