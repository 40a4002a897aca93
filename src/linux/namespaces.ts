/** The eight namespaces and the calls that make and enter them. namespaces(7) */

import { structOf64 } from './bytes.ts'
import type { Argument, Buffer, Call, Pointer, Slot } from './call.ts'
import { ioctl } from './files.ts'

export const CLONE_NEWTIME = 0x00000080
export const CLONE_NEWNS = 0x00020000
export const CLONE_NEWCGROUP = 0x02000000
export const CLONE_NEWUTS = 0x04000000
export const CLONE_NEWIPC = 0x08000000
export const CLONE_NEWUSER = 0x10000000
export const CLONE_NEWPID = 0x20000000
export const CLONE_NEWNET = 0x40000000
/** Parent and child have the same descriptors. clone(2) */
export const CLONE_FILES = 0x400
const CLONE_PIDFD = 0x1000
export const CLONE_PARENT = 0x8000
/** The caller goes on when the child has become a program, or has ended. clone(2) */
export const CLONE_VFORK = 0x4000
const CLONE_INTO_CGROUP = 0x200000000

const SIGCHLD = 17

export interface Clone {
  /** CLONE_NEW…, CLONE_FILES, CLONE_PARENT, CLONE_VFORK. */
  readonly flags: number
  /** Filled with the descriptor that names the child beyond doubt; 4 bytes. */
  readonly pidfd: Buffer
  /** A cgroup v2 directory in which the child is born. */
  readonly cgroup?: Slot
}

/**
 * Makes a child process.
 *
 * struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
 * 8 bytes each. clone3(2)
 */
export const clone3 = ({ flags, pidfd, cgroup }: Clone): Call => {
  const all = flags + CLONE_PIDFD + (cgroup === undefined ? 0 : CLONE_INTO_CGROUP)
  // With CLONE_PARENT the exit signal is the one of the caller, and must not be given.
  const exitSignal = flags & CLONE_PARENT ? 0 : SIGCHLD
  const args = structOf64([all, pidfd, 0, 0, exitSignal, 0, 0, 0, 0, 0, cgroup ?? 0])
  return { name: 'clone3', args: [args, 88] }
}

export const unshare = (flags: number): Call => ({ name: 'unshare', args: [flags] })
/** Enters one namespace (`fd` open on /proc/PID/ns/X), or several of a process at once (`fd` is a pidfd). setns(2) */
export const setns = (fd: Argument, flags: number): Call => ({ name: 'setns', args: [fd, flags] })
/** What statfs(2) says of a file in /proc/PID/ns, and of a bind mount of one. include/uapi/linux/magic.h */
export const NSFS_MAGIC = 0x6e736673
const NS_GET_NSTYPE = 0xb703
/** Answers the CLONE_NEW… flag of a namespace that is open. ioctl_nsfs(2) */
export const namespaceType = (fd: Slot): Call => ioctl(fd, NS_GET_NSTYPE, 0)
export const sethostname = (name: Pointer, length: Argument): Call => ({ name: 'sethostname', args: [name, length] })
export const setdomainname = (name: Pointer, length: Argument): Call => ({
  name: 'setdomainname',
  args: [name, length],
})
