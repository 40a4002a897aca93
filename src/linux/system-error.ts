/** A system call that failed, outside of a plan, as an OperationError. */

import { type ErrorKind, OperationError } from '../base/errors.ts'

export interface FailedCall {
  /** Completes "cannot …", e.g. `read /proc/4711/stat`. */
  readonly operation: string
  /** The kernel's name of the call. */
  readonly syscall: string
  /** The name of the errno, e.g. `ENOENT`. */
  readonly code: string
  readonly path?: string
  readonly hint?: string
  readonly cause?: unknown
}

/** "cannot <operation>: <syscall>(<path>) = <code>" */
export function systemError({ operation, syscall, code, path, hint, cause }: FailedCall): OperationError {
  return new OperationError({
    kind: kindOf(code),
    operation,
    code,
    syscall: `${syscall}(${path ?? ''})`,
    ...(path === undefined ? {} : { path }),
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  })
}

/** `EPERM` → `denied`, and so on; `kernel` where no class of failure fits. */
export function kindOf(code: string): ErrorKind {
  if (/^(EPERM|EACCES|EROFS)$/.test(code)) return 'denied'
  if (/^(ENOENT|ESRCH|ENODEV|ENXIO|ENOTDIR)$/.test(code)) return 'missing'
  if (/^(EEXIST|EBUSY|ETXTBSY|ENOTEMPTY|EADDRINUSE|EALREADY)$/.test(code)) return 'conflict'
  if (/^(ENOMEM|ENOSPC|EAGAIN|EMFILE|ENFILE|EDQUOT|EUSERS)$/.test(code)) return 'exhausted'
  if (/^(ENOSYS|EOPNOTSUPP|EAFNOSUPPORT)$/.test(code)) return 'unsupported'
  return 'kernel'
}
