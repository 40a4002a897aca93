/** Actions of a profile as the values that a filter returns. Source: seccomp(2); oci:runtime-spec/config-linux.md#seccomp */

import { unreachable } from '../base/errors.ts'
import { type Place, refuse } from '../base/place.ts'
import {
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from '../linux/bpf.ts'
import type { SeccompAction } from '../oci/seccomp.ts'

// runc and crun return it where a profile names no errno.
const EPERM = 1

// include/linux/err.h: the kernel cuts a larger errno down to this one.
const MAX_ERRNO = 4095

/**
 * What a filter returns for an action.
 *
 * Throws `invalid`, naming `errnoPlace`, for an errno that the action cannot return: runc ignores it, the specification says that a
 * runtime has to fail.
 */
export function verdictOf(action: SeccompAction, errnoRet: number | undefined, errnoPlace: Place): number {
  switch (action) {
    case 'SCMP_ACT_ERRNO':
      return SECCOMP_RET_ERRNO | upTo(MAX_ERRNO, errnoRet, errnoPlace)
    case 'SCMP_ACT_TRACE':
      return SECCOMP_RET_TRACE | upTo(0xffff, errnoRet, errnoPlace)
    default:
      if (errnoRet !== undefined) refuse(errnoPlace, `is ${errnoRet}, but ${action} returns no errno`, 'remove it')
      return plainVerdict(action)
  }
}

function upTo(maximum: number, errnoRet: number | undefined, place: Place): number {
  if (errnoRet === undefined) return EPERM
  if (errnoRet > maximum) refuse(place, `is ${errnoRet}, which is more than ${maximum}`)
  return errnoRet
}

function plainVerdict(action: Exclude<SeccompAction, 'SCMP_ACT_ERRNO' | 'SCMP_ACT_TRACE'>): number {
  switch (action) {
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return SECCOMP_RET_KILL_THREAD
    case 'SCMP_ACT_KILL_PROCESS':
      return SECCOMP_RET_KILL_PROCESS
    case 'SCMP_ACT_TRAP':
      return SECCOMP_RET_TRAP
    case 'SCMP_ACT_ALLOW':
      return SECCOMP_RET_ALLOW
    case 'SCMP_ACT_LOG':
      return SECCOMP_RET_LOG
    case 'SCMP_ACT_NOTIFY':
      return SECCOMP_RET_USER_NOTIF
    default:
      return unreachable(action)
  }
}
