/**
 * Names of error numbers. Source: errno(3); kernel:include/uapi/asm-generic/errno-base.h and errno.h, which x86_64 and aarch64 share.
 */

import type { Words } from '../base/words.ts'

/** The name of an error number, as errno(3) spells it. */
export type Errno = Exclude<Words<typeof table>, '-'> | Alias

/** `ENOENT` for 2; `errno 4095` for a number without a name. Takes the positive number. */
export function errnoName(number: number): Errno | `errno ${number}` {
  const name = number > 0 ? names[number - 1] : undefined
  return name === undefined || name === '-' ? `errno ${number}` : (name as Errno)
}

/** 2 for `ENOENT`. */
export const errnoNumber = (name: Errno): number => numbers.get(name) ?? 0

/** Whether `name` is the name of an error number. */
export function isErrno(name: string): name is Errno {
  return name !== '-' && errnoNumber(name as Errno) > 0
}

type Alias = 'EWOULDBLOCK' | 'EDEADLOCK' | 'ENOTSUP'

// By number from 1 on; 41 and 58 are not used.
const table =
  'EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON'

const names: readonly string[] = table.split(' ')
const aliases = [
  ['EWOULDBLOCK', 11],
  ['EDEADLOCK', 35],
  ['ENOTSUP', 95],
] as const
const numbers: ReadonlyMap<string, number> = new Map([
  ...names.map((name, index) => [name, index + 1] as const),
  ...aliases,
])
