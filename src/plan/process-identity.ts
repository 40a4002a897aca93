/**
 * The process becomes the user that the program runs as, and gives up what that user shall not have.
 *
 * Not later than the user come the groups and the bounding set, which take privilege; not earlier the capabilities, which a change of user
 * clears. Source: credentials(7), capabilities(7), oci:runtime-spec/config.md#user
 */

import { OperationError } from '../base/errors.ts'
import { packU32 } from '../linux/bytes.ts'
import { buffer } from '../linux/call.ts'
import { fchownUser } from '../linux/credentials.ts'
import { AT_EMPTY_PATH, S_IFBLK, S_IFCHR, STATX_TYPE } from '../linux/files.ts'
import {
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
  prctl,
  setgroups,
  setresgid,
  setresuid,
} from '../linux/process.ts'
import type { Process, User } from '../oci/process.ts'
import { hasForGood, planBoundingSet, planCapabilitySets, planLastCapabilities } from './capabilities.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { planCwdAsUser } from './process.ts'

export interface IdentityRequest {
  readonly process: Process
  /** False in a user namespace that was made without privilege, undefined if it was made by others: user_namespaces(7) "setgroups". */
  readonly canSetGroups: boolean | undefined
  /** A seccomp filter is loaded later; see planNarrow. */
  readonly hasFilter: boolean
}

type IdentityHost = Pick<Host, 'lastCapability'>

const SEE: readonly Ref[] = ['credentials(7)']

/** Throws `unsupported` for additional groups where there cannot be any. */
export function planIdentity(request: IdentityRequest, host: IdentityHost): readonly Step[] {
  const { process } = request
  const { user, capabilities } = process
  return [
    ...(process.terminal ? [] : planStdio(user.uid)),
    ...planBoundingSet(capabilities, host),
    ...planUser(user, request.canSetGroups),
    ...planCapabilitySets(capabilities, host, keepsAdmin(request) ? ['CAP_SYS_ADMIN'] : []),
    ...planCwdAsUser(process.cwd),
    ...(process.noNewPrivileges ? [noNewPrivileges] : []),
  ]
}

/**
 * Takes back CAP_SYS_ADMIN, which planIdentity left for the one purpose of loading a filter without no_new_privs. Behind the filter, so the
 * filter has to allow capset(2) with that combination, as it has to with runc.
 */
export const planNarrow = (request: IdentityRequest, host: IdentityHost): readonly Step[] =>
  keepsAdmin(request) ? planLastCapabilities(request.process.capabilities, host) : []

/** seccomp(2): a filter is loaded with no_new_privs, or with CAP_SYS_ADMIN in the user namespace. */
const keepsAdmin = ({ process, hasFilter }: IdentityRequest): boolean =>
  hasFilter && !process.noNewPrivileges && !hasForGood('CAP_SYS_ADMIN', process.capabilities)

const noNewPrivileges: Step = {
  call: prctl(PR_SET_NO_NEW_PRIVS, 1),
  why: 'gain nothing from set-user-ID programs and file capabilities',
  see: ['PR_SET_NO_NEW_PRIVS(2const)'],
}

function planUser(user: User, canSetGroups: IdentityRequest['canSetGroups']): readonly Step[] {
  const { uid, gid } = user
  const steps: Step[] = []
  if (uid !== 0)
    steps.push({
      call: prctl(PR_SET_KEEPCAPS, 1),
      why: 'keep capabilities for a user that is not root',
      see: ['PR_SET_KEEPCAPS(2const)'],
    })
  steps.push(...planGroups(user, canSetGroups))
  steps.push({ call: setresgid(gid, gid, gid), why: `run as group ${gid}`, see: ['setresgid(2)', ...SEE] })
  steps.push({ call: setresuid(uid, uid, uid), why: `run as user ${uid}`, see: ['setresuid(2)', ...SEE] })
  // Another user sets it to fs.suid_dumpable, which need not be 0: SECURITY-CHECKS S9, kernel/cred.c, commit_creds.
  if (uid !== 0 || gid !== 0)
    steps.push({
      call: prctl(PR_SET_DUMPABLE, 0),
      why: 'keep others of that user from looking into it',
      see: ['PR_SET_DUMPABLE(2const)'],
    })
  return steps
}

/** Also without additional groups: the caller's own would be left otherwise (SECURITY-CHECKS S61). */
function planGroups({ additionalGids }: User, canSetGroups: IdentityRequest['canSetGroups']): readonly Step[] {
  const count = additionalGids.length
  if (canSetGroups !== false) {
    const why = count === 0 ? 'have no groups of the caller' : `be in the groups ${additionalGids.join(', ')}`
    const step: Step = { call: setgroups(count, packU32(additionalGids)), why, see: ['setgroups(2)'] }
    // Where it is denied the caller's groups were left before, if they could be: namespaces.ts, leaveGroups.
    return [count === 0 && canSetGroups === undefined ? { ...step, tolerate: ['EPERM'] } : step]
  }
  if (count === 0) return []
  throw new OperationError({
    kind: 'unsupported',
    operation: `put the process into the groups ${additionalGids.join(', ')}`,
    reason: 'setgroups(2) is denied in a user namespace that maps one group without privilege',
    hint: 'remove process.user.additionalGids, or map a range of groups from /etc/subgid',
    see: ['user_namespaces(7)'],
  })
}

const STATX_BYTES = 256
const STATX_MODE = 28

/**
 * Makes the standard descriptors belong to the user, who could not open /dev/stdout again otherwise; the group stays.
 *
 * Devices are left alone: /dev/null of the host, or a terminal that others use, shall not change its owner. What cannot change its owner, as
 * it is from outside of the user namespace or on a read-only file system, stays as it is.
 */
function planStdio(uid: number): readonly Step[] {
  // They are root's already, or root may open them anyway.
  if (uid === 0) return []
  return ['standard input', 'standard output', 'standard error'].map((name, fd) => ownStream(fd, name, uid))
}

function ownStream(fd: number, name: string, uid: number): Step {
  const status = buffer('stream', STATX_BYTES)
  // Character and block devices differ in a bit that no other type has in this place.
  const mask = 0o170000 & ~(S_IFCHR ^ S_IFBLK)
  return {
    call: { name: 'statx', args: [fd, '', AT_EMPTY_PATH, STATX_TYPE, status] },
    why: `know whether ${name} is a device`,
    see: ['statx(2)'],
    check: { in: status, offset: STATX_MODE, sizeBytes: 2, mask, equals: S_IFCHR, errno: 'ENOTBLK' },
    tolerate: ['ENOTBLK', 'EBADF'],
    otherwise: [
      {
        call: fchownUser(fd, uid),
        why: `let user ${uid} open ${name} again`,
        see: ['fchown(2)'],
        tolerate: ['EINVAL', 'EPERM', 'EROFS', 'EBADF'],
      },
    ],
  }
}
