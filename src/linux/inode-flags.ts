/** What a file system is told of a directory. Source: ioctl_iflags(2), chattr(1) */

import type { Buffer, Call, Slot } from './call.ts'
import { ioctl } from './files.ts'

/** include/uapi/linux/fs.h; the size in the number is that of a long, and the kernel reads and writes an int. */
const FS_IOC_GETFLAGS = 0x8008_6601
const FS_IOC_SETFLAGS = 0x4008_6602

/** The directories in it have nothing to do with each other: ext4 gives each a place of its own. chattr(1) "T" */
export const FS_TOPDIR_FL = 0x0002_0000

/** `into` has 4 bytes. */
export const readInodeFlags = (fd: Slot, into: Buffer): Call => ioctl(fd, FS_IOC_GETFLAGS, into)
export const setInodeFlags = (fd: Slot, flags: Uint8Array): Call => ioctl(fd, FS_IOC_SETFLAGS, flags)
