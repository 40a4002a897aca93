/** What both implementations of Files mean by a kind of file, an absent one, and one that is too long. */

import type { FileKind } from '../base/files.ts'
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG } from '../linux/files.ts'

const S_IFLNK = 0o120000
const S_IFSOCK = 0o140000

/** What coffer reads whole is configuration and reports of the kernel; a longer file is a device, or an attack on memory. */
export const MAX_FILE_BYTES: number = 64 << 20

/**
 * Whether this errno says that a file is not there.
 *
 * A process that ends while its directory in procfs is read answers ESRCH, a cgroup that is removed while a file of it is open ENODEV:
 * fs/proc/base.c, kernel/cgroup/cgroup.c.
 */
export const isGone = (code: string): boolean => /^(ENOENT|ENOTDIR|ESRCH|ENODEV)$/.test(code)

/** The kind in `st_mode`; undefined for a value that inode(7) does not name. */
export function kindOfMode(mode: number): FileKind | undefined {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file'
    case S_IFDIR:
      return 'directory'
    case S_IFLNK:
      return 'symlink'
    case S_IFCHR:
      return 'character'
    case S_IFBLK:
      return 'block'
    case S_IFIFO:
      return 'fifo'
    case S_IFSOCK:
      return 'socket'
  }
  return undefined
}
