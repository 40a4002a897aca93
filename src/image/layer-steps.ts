/** The steps that make one file of a layer. Paths are below the root of the process that runs them: layer.ts. */

import { packU64 } from '../linux/bytes.ts'
import { type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  close,
  deviceNumber,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  ftruncate,
  linkat,
  lsetxattr,
  mkdirat,
  mknodat,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  openat,
  pwrite64,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  symlinkat,
  unlinkat,
  utimensat,
} from '../linux/files.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Ref, Step } from '../plan/plan.ts'
import type { TarEntry, TarTime } from './tar.ts'
import type { Piece } from './tar-read.ts'

export interface Place {
  readonly path: string
  readonly architecture: Architecture
}

export const SEE: readonly Ref[] = ['oci:image-spec/layer.md']

const FILE: Slot = slot('file')

/** Files begin closed to others, and get their modes with their owners. */
const PRIVATE_FILE = 0o600
const PRIVATE_DIRECTORY = 0o700
const IMPLIED_DIRECTORY = 0o755

export const makeDirectory = ({ path }: Place): Step => ({
  call: mkdirat(AT_FDCWD, path, PRIVATE_DIRECTORY),
  why: `make the directory ${path}`,
  see: SEE,
  tolerate: ['EEXIST'],
})

/** It may be behind a symbolic link of the layer, and there already. */
export const makeParent = ({ path }: Place): Step => ({
  call: mkdirat(AT_FDCWD, path, IMPLIED_DIRECTORY),
  why: `make the directory ${path}, which the archive only implies`,
  see: SEE,
  tolerate: ['EEXIST'],
})

export const setDirectory = ({ path }: Pick<Place, 'path'>, entry: TarEntry): readonly Step[] => [
  { call: fchownat(AT_FDCWD, path, entry.uid, entry.gid), why: `give ${path} its owner`, see: ['chown(2)'] },
  { call: fchmodat(AT_FDCWD, path, entry.mode), why: `give ${path} its mode`, see: ['chmod(2)'] },
  ...setAttributes(path, entry),
]

export function createFile({ path, architecture }: Place): Step {
  const call = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW[architecture], PRIVATE_FILE)
  const step: Step = { call, why: `make the file ${path}`, see: SEE, into: FILE }
  // Only a name behind a symbolic link is there without our knowing.
  return { ...step, tolerate: ['EEXIST'], otherwise: [remove({ path, architecture }, false), step] }
}

export const reopenFile = ({ path, architecture }: Place): Step => ({
  call: openat(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW[architecture]),
  why: `go on with the file ${path}`,
  see: SEE,
  into: FILE,
})

export const writeFile = ({ path }: Place, { bytes, offset }: Piece): Step => ({
  call: pwrite64(FILE, bytes, offset),
  why: `write ${path}`,
  see: ['pwrite(2)'],
  check: { result: bytes.length, errno: 'ENOSPC' },
})

/** The owner before the mode and the attributes, as a change of it takes set-id bits and capabilities away. */
export const finishFile = ({ path }: Place, entry: TarEntry): readonly Step[] => [
  ...(entry.extents === undefined
    ? []
    : [{ call: ftruncate(FILE, entry.sizeBytes), why: `end ${path} with a hole`, see: ['ftruncate(2)'] }]),
  { call: fchown(FILE, entry.uid, entry.gid), why: `give ${path} its owner`, see: ['chown(2)'] },
  { call: fchmod(FILE, entry.mode), why: `give ${path} its mode`, see: ['chmod(2)'] },
  ...setAttributes(path, entry),
  { call: utimensat(FILE, 0, timesOf(entry.modified)), why: `give ${path} its time`, see: ['utimensat(2)'] },
]

export const closeFile = ({ path }: Place): Step => ({
  call: close(FILE),
  why: `be done with ${path}`,
  see: ['close(2)'],
})

export const makeSymlink = ({ path }: Place, entry: TarEntry): readonly Step[] => [
  { call: symlinkat(entry.target, AT_FDCWD, path), why: `make the symbolic link ${path}`, see: SEE },
  {
    call: fchownat(AT_FDCWD, path, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW),
    why: `give ${path} its owner`,
    see: ['chown(2)'],
  },
  ...setAttributes(path, entry),
  setTime({ path }, entry.modified),
]

export const makeLink = ({ path }: Place, target: string): Step => ({
  call: linkat(AT_FDCWD, target, AT_FDCWD, path),
  why: `make ${path} another name of ${target}`,
  see: SEE,
})

const NODE_TYPES: Readonly<Record<string, number>> = { character: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO }

export const makeNode = ({ path }: Place, entry: TarEntry): readonly Step[] => [
  {
    call: mknodat(
      AT_FDCWD,
      path,
      (NODE_TYPES[entry.kind] ?? S_IFIFO) | PRIVATE_FILE,
      deviceNumber(entry.device.major, entry.device.minor),
    ),
    why: `make the ${entry.kind === 'fifo' ? 'pipe' : `${entry.kind} device`} ${path}`,
    see: SEE,
  },
  ...setDirectory({ path }, entry),
  setTime({ path }, entry.modified),
]

export const whiteout = ({ path }: Place): Step => ({
  call: mknodat(AT_FDCWD, path, S_IFCHR, 0),
  why: `hide ${path} of the layers below`,
  see: ['kernel:filesystems/overlayfs.rst'],
})

export const markOpaque = ({ path }: Place, attribute: string): Step => ({
  call: lsetxattr(path, attribute, Uint8Array.of(0x79)),
  why: `hide all that the layers below have in ${path}`,
  see: ['kernel:filesystems/overlayfs.rst'],
})

export const remove = ({ path }: Place, isDirectory: boolean): Step => ({
  call: unlinkat(AT_FDCWD, path, isDirectory ? AT_REMOVEDIR : 0),
  why: `take away the ${path} that came before`,
  see: SEE,
  tolerate: ['ENOENT'],
})

export const setTime = ({ path }: Pick<Place, 'path'>, time: TarTime): Step => ({
  call: utimensat(AT_FDCWD, path, timesOf(time), AT_SYMLINK_NOFOLLOW),
  why: `give ${path} its time`,
  see: ['utimensat(2)'],
})

const timesOf = ({ seconds, nanos }: TarTime): Uint8Array => packU64([seconds, nanos, seconds, nanos])

/** An image that could set these would place its layers' files as it likes. */
const OVERLAY_ATTRIBUTE = /^(?:trusted|user)\.overlay\./

/** A file system that has no attributes of a kind goes without them, as with docker. */
const setAttributes = (path: string, { xattrs }: TarEntry): readonly Step[] =>
  [...xattrs]
    .filter(([name]) => !OVERLAY_ATTRIBUTE.test(name))
    .map(([name, value]) => ({
      call: lsetxattr(path, name, value),
      why: `give ${path} the attribute ${name}`,
      see: ['setxattr(2)'],
      tolerate: ['EOPNOTSUPP'],
    }))
