/**
 * The facts of this machine that plans depend on; plan/host.ts says what each is for.
 *
 * It stands at the beginning of each start of a container, so it reads what every plan needs (three links and files beside the cgroup layout),
 * and the rest when a plan asks.
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { type CapabilityMask, capabilityBit, hasBit, parseCapabilityMask } from '../linux/capabilities.ts'
import type { CgroupLayout } from '../linux/cgroup.ts'
import type { Architecture } from '../linux/numbers.ts'
import { type LayoutQuestions, readCgroupLayout } from './cgroup.ts'
import { parsePids, statusField } from './process.ts'

/** Who asks, and on which kernel: what the door learns from system calls, or readIdentity from procfs. */
export interface Identity {
  readonly architecture: Architecture
  /** `6.1.0-18-amd64` */
  readonly kernelRelease: string
  /** Effective ids. */
  readonly uid: number
  readonly gid: number
  readonly effectiveCapabilities: CapabilityMask
}

/** The same fields as Host of plan/host.ts, which this folder may not import; where one is handed over, the compiler compares them. */
export interface ObservedHost {
  readonly architecture: Architecture
  readonly kernel: KernelVersion
  readonly hostUid: number
  readonly hostGid: number
  readonly isRootless: boolean
  readonly lastCapability: number
  readonly cgroup: CgroupLayout
  readonly kindOf: (path: string) => 'file' | 'directory' | 'absent'
}

export interface KernelVersion {
  readonly major: number
  readonly minor: number
}

export function readHost(
  files: Files,
  identity: Identity,
  questions: Pick<LayoutQuestions, 'hugepages'> = {},
): ObservedHost {
  const { architecture, kernelRelease, uid, gid } = identity
  const isRootless = !isPrivileged(files, identity)
  return {
    architecture,
    kernel: parseKernelRelease(kernelRelease),
    hostUid: uid,
    hostGid: gid,
    isRootless,
    lastCapability: readLastCapability(files),
    cgroup: readCgroupLayout(files, { ...questions, unprivilegedUid: isRootless ? uid : undefined }),
    kindOf: (path) => kindOf(files, path),
  }
}

/** Whether the caller has CAP_SYS_ADMIN over the machine, not only over a user namespace of its own. */
function isPrivileged(files: Files, { effectiveCapabilities }: Identity): boolean {
  return hasBit(effectiveCapabilities, capabilityBit('CAP_SYS_ADMIN')) && isInitialUserNamespace(files)
}

/**
 * Whether this process is in the first user namespace, which all others descend from. Its inode number is fixed: include/uapi/linux/nsfs.h,
 * USER_NS_INIT_INO. (The uid_map does not tell: a namespace that maps all ids to themselves has the same one.)
 */
export const isInitialUserNamespace = (files: Files): boolean =>
  files.readLink('/proc/self/ns/user') === `user:[${0xeffffffd}]`

/** Throws `unsupported` where /proc is not mounted. */
export function readLastCapability(files: Files): number {
  return Number(fileOfProc(files, '/proc/sys/kernel/cap_last_cap'))
}

/** `6.1.0-18-amd64` → 6 and 1. */
export function parseKernelRelease(release: string): KernelVersion {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? []
  return { major: Number(major), minor: Number(minor) }
}

/** What is at a path, behind symbolic links; whatever is not a directory can be covered by a file. */
export function kindOf(files: Files, path: string): 'file' | 'directory' | 'absent' {
  const status = files.status(path)
  if (status === undefined) return 'absent'
  return status.kind === 'directory' ? 'directory' : 'file'
}

/** For Node and Bun, where no system call can be made: the same from procfs. */
export function readIdentity(files: Files, architecture: Architecture): Identity {
  const status = fileOfProc(files, '/proc/self/status')
  // Real, effective, saved and file system id. proc_pid_status(5)
  const effective = (field: string): number => parsePids(statusField(status, field) ?? '')[1] ?? 0
  return {
    architecture,
    kernelRelease: fileOfProc(files, '/proc/sys/kernel/osrelease').trimEnd(),
    uid: effective('Uid'),
    gid: effective('Gid'),
    effectiveCapabilities: parseCapabilityMask(statusField(status, 'CapEff') ?? '0'),
  }
}

function fileOfProc(files: Files, path: string): string {
  const text = files.readText(path)
  if (text !== undefined) return text
  throw new OperationError({
    kind: 'unsupported',
    operation: 'learn about this machine',
    reason: `there is no ${path}`,
    path,
    hint: 'mount procfs on /proc: mount -t proc proc /proc',
  })
}
