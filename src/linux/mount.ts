/**
 * The mount calls that work on descriptors: a tree is made or cloned out of sight, given its attributes, and only then attached.
 *
 * Minimum kernel: 5.12 for mount_setattr(2), 5.2 for the rest.
 */

import { packU64, structOf64 } from './bytes.ts'
import type { Call, Pointer, Slot } from './call.ts'
import { AT_EMPTY_PATH, AT_RECURSIVE, type DirFd, O_CLOEXEC } from './files.ts'

export const MS_RDONLY = 0x01
export const MS_NOSUID = 0x02
export const MS_NODEV = 0x04
export const MS_NOEXEC = 0x08
export const MS_SYNCHRONOUS = 0x10
const MS_REMOUNT = 0x20
export const MS_MANDLOCK = 0x40
export const MS_DIRSYNC = 0x80
export const MS_NOSYMFOLLOW = 0x100
export const MS_NOATIME = 0x400
export const MS_NODIRATIME = 0x800
const MS_BIND = 0x1000
export const MS_REC = 0x4000
export const MS_SILENT = 0x8000
export const MS_UNBINDABLE: number = 1 << 17
export const MS_PRIVATE: number = 1 << 18
export const MS_SLAVE: number = 1 << 19
export const MS_SHARED: number = 1 << 20
export const MS_RELATIME: number = 1 << 21
export const MS_I_VERSION: number = 1 << 23
export const MS_STRICTATIME: number = 1 << 24
export const MS_LAZYTIME: number = 1 << 25

export const MOUNT_ATTR_RDONLY = 0x01
export const MOUNT_ATTR_NOSUID = 0x02
export const MOUNT_ATTR_NODEV = 0x04
export const MOUNT_ATTR_NOEXEC = 0x08
/** The access time is a field of three bits, of which 0 is relatime: it is cleared whole before it is set. */
export const MOUNT_ATTR__ATIME = 0x70
export const MOUNT_ATTR_NOATIME = 0x10
export const MOUNT_ATTR_STRICTATIME = 0x20
export const MOUNT_ATTR_NODIRATIME = 0x80
export const MOUNT_ATTR_IDMAP = 0x100000
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000

const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = O_CLOEXEC
const MOVE_MOUNT_F_EMPTY_PATH = 0x4
const MOVE_MOUNT_T_EMPTY_PATH = 0x40
const FSOPEN_CLOEXEC = 1
const FSMOUNT_CLOEXEC = 1
const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_SET_FD = 5
const FSCONFIG_CMD_CREATE = 6
export const MNT_DETACH = 2
export const UMOUNT_NOFOLLOW = 8

/** A private copy of the mount at `path`, with those below it if `recursive`; nobody sees it until it is moved somewhere. open_tree(2) */
export const cloneTree = (dir: DirFd, path: Pointer, { recursive }: { recursive: boolean }): Call => ({
  name: 'open_tree',
  args: [dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0)],
})

/** Attaches a detached tree on the directory or file that `target` is open on. move_mount(2) */
export const attach = (tree: Slot, target: Slot): Call => ({
  name: 'move_mount',
  args: [tree, '', target, '', MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH],
})

/** The same on `path` below `dir`, on top of what is mounted there; a symbolic link as its last part is not followed. move_mount(2) */
export const attachAt = (tree: Slot, dir: DirFd, path: Pointer): Call => ({
  name: 'move_mount',
  args: [tree, '', dir, path, MOVE_MOUNT_F_EMPTY_PATH],
})

export interface NewMount {
  readonly type: string
  /** What to mount; file systems of the kernel only repeat it in /proc/PID/mountinfo. */
  readonly source: Pointer
  /** Symbolic links are followed. */
  readonly target: Pointer
  /** MS_…, of the mount and of the file system. */
  readonly flags: number
  /** Options of the file system, with commas between; at most a page. */
  readonly data: Pointer | 0
}

/** A new file system at once at its place: one call, where the descriptor-based ones are five and more. mount(2) */
export const newMount = ({ type, source, target, flags, data }: NewMount): Call => ({
  name: 'mount',
  args: [source, target, type, flags, data],
})

/** Changes flags and options of the file system that is mounted at `target`, and the flags of that mount. mount(2) */
export const remount = ({ type, source, target, flags, data }: NewMount): Call =>
  newMount({ type, source, target, flags: flags | MS_REMOUNT, data })

/** Shows `source` at `target` as well; with what is mounted below it if `recursive`. mount(2) */
export const bindMount = (source: Pointer, target: Pointer, { recursive }: { recursive: boolean }): Call => ({
  name: 'mount',
  args: [source, target, '', recursive ? MS_BIND | MS_REC : MS_BIND, 0],
})

export interface Attributes {
  readonly set: number
  readonly clear?: number
  /** One of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE. */
  readonly propagation?: number
  /** With MOUNT_ATTR_IDMAP: the user namespace whose maps apply. */
  readonly userNamespace?: Slot
  readonly recursive?: boolean
}

/** Sets and clears attributes of the mount that `tree` is open on. struct mount_attr: set, clear, propagation, userns_fd. mount_setattr(2) */
export const mountSetattr = (tree: DirFd, attributes: Attributes): Call => ({
  name: 'mount_setattr',
  args: [tree, '', AT_EMPTY_PATH | (attributes.recursive ? AT_RECURSIVE : 0), mountAttr(attributes), 32],
})

/** The same for the mount at `path` below `dir`, in the view of the caller. */
export const mountSetattrAt = (dir: DirFd, path: Pointer, attributes: Attributes): Call => ({
  name: 'mount_setattr',
  args: [dir, path, attributes.recursive ? AT_RECURSIVE : 0, mountAttr(attributes), 32],
})

const mountAttr = ({ set, clear = 0, propagation = 0, userNamespace }: Attributes): Pointer =>
  userNamespace === undefined
    ? packU64([set, clear, propagation, 0])
    : structOf64([set, clear, propagation, userNamespace])

/** A new, unconfigured file system of this type. fsopen(2) */
export const fsopen = (type: string): Call => ({ name: 'fsopen', args: [type, FSOPEN_CLOEXEC] })
export const fsconfigString = (fs: Slot, key: string, value: Pointer): Call => ({
  name: 'fsconfig',
  args: [fs, FSCONFIG_SET_STRING, key, value, 0],
})
export const fsconfigFlag = (fs: Slot, key: string): Call => ({
  name: 'fsconfig',
  args: [fs, FSCONFIG_SET_FLAG, key, 0, 0],
})
export const fsconfigFd = (fs: Slot, key: string, fd: Slot): Call => ({
  name: 'fsconfig',
  args: [fs, FSCONFIG_SET_FD, key, 0, fd],
})
export const fsconfigCreate = (fs: Slot): Call => ({
  name: 'fsconfig',
  args: [fs, FSCONFIG_CMD_CREATE, 0, 0, 0],
})
/** The configured file system as a detached tree with these MOUNT_ATTR_ flags. fsmount(2) */
export const fsmount = (fs: Slot, attributes: number): Call => ({
  name: 'fsmount',
  args: [fs, FSMOUNT_CLOEXEC, attributes],
})

/** Decides whether mounts and unmounts at `path` are told to and heard from its peers. mount(2) */
export const setPropagation = (path: Pointer, flags: number): Call => ({
  name: 'mount',
  args: ['', path, '', flags, 0],
})
export const pivotRoot = (newRoot: string, putOld: string): Call => ({
  name: 'pivot_root',
  args: [newRoot, putOld],
})
export const umount2 = (path: Pointer, flags = 0): Call => ({ name: 'umount2', args: [path, flags] })
