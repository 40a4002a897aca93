/** Limits of what one process, or all processes of one user, may use. Source: getrlimit(2), oci:runtime-spec/config.md#posix-process */

import type { Argument } from '../linux/call.ts'
import { prlimit } from '../linux/rlimits.ts'
import type { Rlimit } from '../oci/process.ts'
import type { Ref, Step } from './plan.ts'

const SEE: readonly Ref[] = ['prlimit(2)']

/**
 * Sets the limits of the process `pid`, 0 for the caller.
 *
 * Raising a hard limit takes CAP_SYS_RESOURCE of the first user namespace: process-outside.ts. Late, as the limits hold for the process while
 * it is being made as well: with RLIMIT_NOFILE at 3 it cannot open a file any more.
 */
export const planRlimits = (rlimits: readonly Rlimit[], pid: Argument): readonly Step[] =>
  rlimits.map((rlimit) => ({
    call: prlimit(pid, rlimit.type, rlimit),
    why: `limit ${rlimit.type} to ${shown(rlimit.soft)}, and to ${shown(rlimit.hard)} if it asks for more`,
    see: SEE,
  }))

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn

const shown = (limit: number | bigint): string => (limit === RLIM_INFINITY ? 'infinity' : String(limit))
