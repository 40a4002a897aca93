/** The sixteen resource limits of a process. Source: getrlimit(2); kernel:include/uapi/asm-generic/resource.h */

import type { Words } from '../base/words.ts'
import { setU64 } from './bytes.ts'
import type { Argument, Call } from './call.ts'

export type Rlimit = Words<typeof table>

/** The number of a limit, 0 to 15; x86_64 and aarch64 agree on them. */
export const rlimitNumber = (name: Rlimit): number => table.split(' ').indexOf(name)

/** In the unit of the resource, up to 2^64 - 1, which is RLIM_INFINITY. */
export interface Limits {
  readonly soft: number | bigint
  readonly hard: number | bigint
}

/** Sets one limit of the process `pid`, 0 for the caller's own. struct rlimit64: rlim_cur, rlim_max; 8 bytes each. prlimit(2) */
export function prlimit(pid: Argument, name: Rlimit, { soft, hard }: Limits): Call {
  const limits = new DataView(new ArrayBuffer(16))
  setInteger64(limits, 0, soft)
  setInteger64(limits, 8, hard)
  return { name: 'prlimit64', args: [pid, rlimitNumber(name), new Uint8Array(limits.buffer), 0] }
}

/** Writes a 64-bit integer that is a bigint only where a number would not be exact. */
export function setInteger64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === 'number') setU64(view, offset, value)
  else view.setBigUint64(offset, BigInt.asUintN(64, value), true)
}

// By number.
const table =
  'RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_MEMLOCK RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_RTTIME'
