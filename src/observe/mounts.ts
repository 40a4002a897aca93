/** The mounts that a process sees: /proc/PID/mountinfo. proc_pid_mountinfo(5) */

import type { Files } from '../base/files.ts'

/**
 * One line of mountinfo:
 *
 *     36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *     id parent device root mountPoint options propagation - fileSystem source superOptions
 */
export interface MountInfo {
  readonly id: number
  /** The id of the mount that this one is mounted on; it may be out of sight. */
  readonly parentId: number
  /** `major:minor` as stat(2) tells it of files in this mount. */
  readonly device: string
  /** The directory of the file system that is shown here. */
  readonly root: string
  readonly mountPoint: string
  /** Of this mount: `rw`, `nosuid`, `relatime`. */
  readonly options: readonly string[]
  readonly propagation: Propagation
  /** `ext4`, `fuse.sshfs`. */
  readonly fileSystem: string
  readonly source: string
  /** Of the file system, whichever mount shows it: `rw`, `errors=continue`. */
  readonly superOptions: readonly string[]
}

/** The peer groups of a mount; private is none of them. mount_namespaces(7) */
export interface Propagation {
  readonly shared?: number
  readonly master?: number
  readonly propagateFrom?: number
  readonly isUnbindable: boolean
}

/** The mounts of a process; undefined if it is gone. */
export function readMounts(files: Files, pid: number | 'self' = 'self'): readonly MountInfo[] | undefined {
  const text = files.readText(`/proc/${pid}/mountinfo`)
  return text === undefined ? undefined : parseMountInfo(text)
}

export function parseMountInfo(text: string): readonly MountInfo[] {
  const mounts: MountInfo[] = []
  for (const line of text.split('\n')) {
    if (line !== '') mounts.push(parseLine(line))
  }
  return mounts
}

function parseLine(line: string): MountInfo {
  const fields = line.split(' ')
  // The optional fields are any number, and none of them is a dash; field 6 is the last before them.
  const dash = fields.indexOf('-', 6)
  const field = (index: number): string => fields[index] ?? ''
  return {
    id: Number(field(0)),
    parentId: Number(field(1)),
    device: field(2),
    root: unescapeOctal(field(3)),
    mountPoint: unescapeOctal(field(4)),
    options: field(5).split(','),
    propagation: propagationOf(fields.slice(6, dash)),
    fileSystem: unescapeOctal(field(dash + 1)),
    source: unescapeOctal(field(dash + 2)),
    superOptions: unescapeOctal(field(dash + 3)).split(','),
  }
}

function propagationOf(tags: readonly string[]): Propagation {
  const group = (tag: string): number | undefined => {
    const found = tags.find((each) => each.startsWith(`${tag}:`))
    return found === undefined ? undefined : Number(found.slice(tag.length + 1))
  }
  const shared = group('shared')
  const master = group('master')
  const propagateFrom = group('propagate_from')
  return {
    ...(shared === undefined ? {} : { shared }),
    ...(master === undefined ? {} : { master }),
    ...(propagateFrom === undefined ? {} : { propagateFrom }),
    isUnbindable: tags.includes('unbindable'),
  }
}

/** Space, tab, newline, backslash and # stand as three octal digits: fs/proc_namespace.c, mangle. */
export const unescapeOctal = (text: string): string =>
  text.includes('\\')
    ? text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
    : text

/**
 * The mount that shows `path`, an absolute path without symbolic links, `.` and `..`; undefined if the root itself is out of sight, as after
 * chroot(2) to a directory that is no mount point.
 *
 * Goes down from the root as the kernel does: of the mounts on one mount, the path meets the one nearest to the root first, and what lies
 * below it is out of reach. The longest mount point would be wrong where a mount covers others.
 */
export function findMount(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  const ids = new Set(mounts.map(({ id }) => id))
  const isTop = ({ id, parentId }: MountInfo): boolean => id === parentId || !ids.has(parentId)
  let current = nearestToRoot(mounts.filter(isTop), path)
  for (let below = current; below !== undefined; ) {
    current = below
    const { id } = below
    below = nearestToRoot(
      mounts.filter((mount) => mount.parentId === id && mount.id !== id),
      path,
    )
  }
  return current
}

function nearestToRoot(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  let nearest: MountInfo | undefined
  for (const mount of mounts) {
    if (!isBelow(path, mount.mountPoint)) continue
    if (nearest === undefined || mount.mountPoint.length < nearest.mountPoint.length) nearest = mount
  }
  return nearest
}

/** Whether `path` is `directory` or lies in it. */
const isBelow = (path: string, directory: string): boolean =>
  directory === '/' || path === directory || path.startsWith(`${directory}/`)

/** All mount points, longest first, so that one comes before those that hold it. */
export function readMountPoints(files: Files): readonly string[] {
  const points: string[] = []
  for (const line of (files.readText('/proc/self/mountinfo') ?? '').split('\n')) {
    const point = line.split(' ', 5)[4]
    if (point !== undefined) points.push(unescapeOctal(point))
  }
  return points.sort((a, b) => b.length - a.length)
}
