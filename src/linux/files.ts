/** Calls on files and directories. Every descriptor that coffer opens is close-on-exec: what a container inherits is chosen, never left over. */

import { packU64 } from './bytes.ts'
import type { Argument, Buffer, Call, Pointer, Slot } from './call.ts'

/** An open directory: what a step opened, what the executor was given, or AT_FDCWD, the current one. */
export type DirFd = Slot | number

export const AT_FDCWD = -100
export const AT_EMPTY_PATH = 0x1000
export const AT_REMOVEDIR = 0x200
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_RECURSIVE = 0x8000

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const O_PATH = 0o10000000

/** These two differ between architectures: include/uapi/asm-generic/fcntl.h and arch/arm64/include/uapi/asm/fcntl.h. */
export const O_DIRECTORY = { x86_64: 0o200000, aarch64: 0o40000 } as const
export const O_NOFOLLOW = { x86_64: 0o400000, aarch64: 0o100000 } as const

export const RESOLVE_NO_XDEV = 0x01
export const RESOLVE_NO_MAGICLINKS = 0x02
export const RESOLVE_NO_SYMLINKS = 0x04
export const RESOLVE_BENEATH = 0x08
export const RESOLVE_IN_ROOT = 0x10

export const S_IFCHR = 0o020000
export const S_IFBLK = 0o060000
export const S_IFIFO = 0o010000
export const S_IFSOCK = 0o140000
export const S_IFREG = 0o100000
export const S_IFDIR = 0o040000
export const S_IFMT = 0o170000

export const openat = (dir: DirFd, path: Pointer, flags: number, mode = 0): Call => ({
  name: 'openat',
  args: [dir, path, flags | O_CLOEXEC, mode],
})

/** Opens `path` as a process whose root directory is `root` would, and never through a magic link of procfs. openat2(2) */
export const openInRoot = (root: DirFd, path: Pointer, flags: number): Call =>
  openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/** Opens `path` strictly below `dir`: no symbolic link, no other mount, no way up. openat2(2) */
export const openBeneath = (dir: DirFd, path: Pointer, flags: number): Call =>
  openat2(dir, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)

export const openat2 = (dir: DirFd, path: Pointer, flags: number, resolve: number, mode = 0): Call => ({
  name: 'openat2',
  args: [dir, path, openHow(flags | O_CLOEXEC, mode, resolve), 24],
})

/** struct open_how: flags, mode, resolve; 8 bytes each. openat2(2) */
const openHow = (flags: number, mode: number, resolve: number): Uint8Array => packU64([flags, mode, resolve])

export const close = (fd: Slot | number): Call => ({ name: 'close', args: [fd] })

/** Closes, or with CLOSE_RANGE_CLOEXEC marks, every descriptor from `first` to `last`. close_range(2) */
export const closeRange = (first: number, last: number, flags = 0): Call => ({
  name: 'close_range',
  args: [first, last, flags],
})
export const CLOSE_RANGE_CLOEXEC = 4
export const LAST_FD = 0xffffffff

export const dup3 = (from: Slot | number, to: Slot | number, flags = 0): Call => ({
  name: 'dup3',
  args: [from, to, flags],
})
export const fcntl = (fd: Slot | number, command: number, value: number): Call => ({
  name: 'fcntl',
  args: [fd, command, value],
})
export const F_DUPFD_CLOEXEC = 1030
export const F_GETFD = 1
export const F_SETFD = 2
export const F_SETFL = 4
/** How many bytes a pipe or fifo holds. Linux 2.6.35. F_SETPIPE_SZ(2const) */
export const F_SETPIPE_SZ = 1031

/** Writes text or bytes at once. `sizeBytes` may be a slot where the length is known only then. */
export const write = (fd: Slot | number, bytes: Pointer, sizeBytes: Argument): Call => ({
  name: 'write',
  args: [fd, bytes, sizeBytes],
})
export const read = (fd: Slot | number, into: Buffer): Call => ({
  name: 'read',
  args: [fd, into, into.sizeBytes],
})

/** Where the next read(2) or write(2) begins, from the start of the file. lseek(2) */
export const lseek = (fd: Slot, offset: number): Call => ({ name: 'lseek', args: [fd, offset, SEEK_SET] })
const SEEK_SET = 0

/** Reads from this place of a file. pread(2) */
export const readAt = (fd: Slot, into: Buffer, offset: number): Call => ({
  name: 'pread64',
  args: [fd, into, into.sizeBytes, offset],
})

/** Copies from where the offset of `from` is; that moves along. sendfile(2) */
export const sendfile = (to: Slot, from: Slot | number, sizeBytes: number): Call => ({
  name: 'sendfile',
  args: [to, from, 0, sizeBytes],
})

export const mkdirat = (dir: DirFd, path: Pointer, mode: number): Call => ({
  name: 'mkdirat',
  args: [dir, path, mode],
})
export const mknodat = (dir: DirFd, path: Pointer, mode: number, device: number): Call => ({
  name: 'mknodat',
  args: [dir, path, mode, device],
})
export const symlinkat = (target: Pointer, dir: DirFd, path: Pointer): Call => ({
  name: 'symlinkat',
  args: [target, dir, path],
})
/** Without flags a symbolic link gets the second name itself. */
export const linkat = (fromDir: DirFd, from: Pointer, toDir: DirFd, to: Pointer): Call => ({
  name: 'linkat',
  args: [fromDir, from, toDir, to, 0],
})
export const unlinkat = (dir: DirFd, path: Pointer, flags = 0): Call => ({
  name: 'unlinkat',
  args: [dir, path, flags],
})
export const renameat2 = (from: Pointer, to: Pointer, flags = 0): Call => ({
  name: 'renameat2',
  args: [AT_FDCWD, from, AT_FDCWD, to, flags],
})
/** Both names are in one directory. */
export const renameIn = (dir: DirFd, from: Pointer, to: Pointer): Call => ({
  name: 'renameat2',
  args: [dir, from, dir, to, 0],
})
/** Answers the length of the target. */
export const readlinkat = (dir: DirFd, path: Pointer, into: Buffer): Call => ({
  name: 'readlinkat',
  args: [dir, path, into, into.sizeBytes],
})
/** Entries come as struct linux_dirent64; answers their bytes, 0 at the end. getdents64(2) */
export const getdents64 = (dir: Slot, into: Buffer): Call => ({
  name: 'getdents64',
  args: [dir, into, into.sizeBytes],
})
export const fchownat = (dir: DirFd, path: Pointer, uid: number, gid: number, flags = 0): Call => ({
  name: 'fchownat',
  args: [dir, path, uid, gid, flags],
})
export const fchmodat = (dir: DirFd, path: Pointer, mode: number): Call => ({
  name: 'fchmodat',
  args: [dir, path, mode],
})
export const fchmod = (fd: Slot, mode: number): Call => ({ name: 'fchmod', args: [fd, mode] })
export const ftruncate = (fd: Slot, sizeBytes: number): Call => ({ name: 'ftruncate', args: [fd, sizeBytes] })
export const faccessat2 = (dir: DirFd, path: Pointer, mode: number, flags: number): Call => ({
  name: 'faccessat2',
  args: [dir, path, mode, flags],
})
export const X_OK = 1
export const AT_EACCESS = 0x200

/** struct statfs is 120 bytes on 64-bit machines; `f_type` is its first 8. statfs(2) */
export const fstatfs = (fd: Slot, into: Buffer): Call => ({ name: 'fstatfs', args: [fd, into] })
export const PROC_SUPER_MAGIC = 0x9fa0
export const CGROUP2_SUPER_MAGIC = 0x63677270

/**
 * Asks for the type, mode, device or number of names of a file.
 *
 * struct statx, 256 bytes: stx_nlink at 16 (4 bytes), stx_mode at 28 (2 bytes), stx_rdev_major at 128, stx_rdev_minor at 132 (4 bytes each). statx(2)
 */
export const statx = (dir: DirFd, path: Pointer, flags: number, mask: number, into: Buffer): Call => ({
  name: 'statx',
  args: [dir, path, flags, mask, into],
})
/** Of struct statx: the low half of the inode's number, and the nanoseconds of the last change of the inode. */
export const STATX_INODE = 32
export const STATX_CHANGED_NANOS = 104
export const STATX_TYPE = 1
export const STATX_NLINK = 4
export const STATX_BASIC_STATS = 0x7ff

/** `times` is two of struct timespec, of the last access and of the last change. Without a path the file of `dir` itself. utimensat(2) */
export const utimensat = (dir: DirFd, path: Pointer | 0, times: Uint8Array, flags = 0): Call => ({
  name: 'utimensat',
  args: [dir, path, times, flags],
})
export const fchown = (fd: Slot, uid: number, gid: number): Call => ({ name: 'fchown', args: [fd, uid, gid] })
export const pwrite64 = (fd: Slot, bytes: Uint8Array, offset: number): Call => ({
  name: 'pwrite64',
  args: [fd, bytes, bytes.length, offset],
})
/** Of the path itself, if that is a symbolic link. lsetxattr(2) */
export const lsetxattr = (path: Pointer, name: string, value: Uint8Array): Call => ({
  name: 'lsetxattr',
  args: [path, name, value, value.length, 0],
})
/** Answers the length of the value. fgetxattr(2) */
export const fgetxattr = (fd: Slot, name: string, into: Buffer): Call => ({
  name: 'fgetxattr',
  args: [fd, name, into, into.sizeBytes],
})
export const fchdir = (fd: Slot): Call => ({ name: 'fchdir', args: [fd] })
export const chdir = (path: Pointer): Call => ({ name: 'chdir', args: [path] })
export const chroot = (path: Pointer): Call => ({ name: 'chroot', args: [path] })
export const getcwd = (into: Buffer): Call => ({ name: 'getcwd', args: [into, into.sizeBytes] })
export const ioctl = (fd: Slot | number, request: number, argument: Argument): Call => ({
  name: 'ioctl',
  args: [fd, request, argument],
})
export const pipe2 = (into: Buffer, flags: number = O_CLOEXEC): Call => ({ name: 'pipe2', args: [into, flags] })
export const flock = (fd: Slot, operation: number): Call => ({ name: 'flock', args: [fd, operation] })
/**
 * Takes a lock that belongs to the process, over execve(2); F_GETLK tells others who has it. EAGAIN if somebody does.
 *
 * struct flock: type and whence (2 bytes each), 4 of padding, start, length (8 each), pid (4). fcntl(2)
 */
export const lockRecord = (fd: Slot | number): Call => ({ name: 'fcntl', args: [fd, F_SETLK, flockOf(F_WRLCK)] })

export function flockOf(type: number): Uint8Array {
  const bytes = new Uint8Array(32)
  bytes[0] = type
  return bytes
}

const F_SETLK = 6
export const F_GETLK = 5
export const F_WRLCK = 1
/** Where the pid is in struct flock. */
export const FLOCK_PID = 24
export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_UN = 8
/** Waits until the disk has it. fsync(2) */
export const fsync = (fd: Slot): Call => ({ name: 'fsync', args: [fd] })

/** A device number as mknod(2) takes it: include/linux/kdev_t.h, new_encode_dev. */
export const deviceNumber = (major: number, minor: number): number =>
  ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0

/** An attribute without a value. With XATTR_REPLACE it answers ENODATA where there is none yet. setxattr(2) */
export const setxattr = (path: string, name: string, flags = 0): Call => ({
  name: 'setxattr',
  args: [path, name, 0, 0, flags],
})
export const XATTR_REPLACE = 2
