/** When and where a process runs: scheduler, I/O priority, processors, memory nodes. Source: sched(7), numa(7) */

import type { Words } from '../base/words.ts'
import type { Argument, Call } from './call.ts'
import { setInteger64 } from './rlimits.ts'

export type SchedulingPolicy = Exclude<Words<typeof policies>, 'SCHED_ISO'>
export type SchedulingFlag = Words<typeof schedulingFlags>
export type IoClass = Exclude<Words<typeof ioClasses>, 'IOPRIO_CLASS_NONE'>
export type MemoryMode = Words<typeof memoryModes>
export type MemoryFlag = Words<typeof memoryFlags>

/** The numbers from `first` to `last`, both included: processors, memory nodes. */
export interface NumberRange {
  readonly first: number
  readonly last: number
}

export interface SchedulingAttributes {
  readonly policy: SchedulingPolicy
  readonly flags: readonly SchedulingFlag[]
  readonly nice: number
  readonly priority?: number
  /** Nanoseconds, for SCHED_DEADLINE. */
  readonly runtime?: number | bigint
  readonly deadline?: number | bigint
  readonly period?: number | bigint
}

const SCHED_ATTR_BYTES = 56

/**
 * Sets the scheduler of the process `pid`, 0 for the caller.
 *
 * struct sched_attr: size at 0, sched_policy 4, sched_flags 8 (8 bytes), sched_nice 16, sched_priority 20, sched_runtime 24,
 * sched_deadline 32, sched_period 40 (8 bytes each), sched_util_min 48, sched_util_max 52. sched_setattr(2)
 */
export function schedSetattr(pid: Argument, attributes: SchedulingAttributes): Call {
  const { policy, flags, nice, priority = 0, runtime = 0, deadline = 0, period = 0 } = attributes
  const view = new DataView(new ArrayBuffer(SCHED_ATTR_BYTES))
  view.setUint32(0, SCHED_ATTR_BYTES, true)
  view.setUint32(4, indexIn(policies, policy), true)
  view.setUint32(8, bitsIn(schedulingFlags, flags), true)
  view.setInt32(16, nice, true)
  view.setUint32(20, priority, true)
  setInteger64(view, 24, runtime)
  setInteger64(view, 32, deadline)
  setInteger64(view, 40, period)
  return { name: 'sched_setattr', args: [pid, new Uint8Array(view.buffer), 0] }
}

const IOPRIO_WHO_PROCESS = 1
const IOPRIO_CLASS_SHIFT = 13

/** `level` is 0 (first) to 7. ioprio_set(2) */
export const ioprioSet = (pid: Argument, ioClass: IoClass, level: number): Call => ({
  name: 'ioprio_set',
  args: [IOPRIO_WHO_PROCESS, pid, (indexIn(ioClasses, ioClass) << IOPRIO_CLASS_SHIFT) | level],
})

/** The kernel cuts the set to the processors that exist and that the cpuset cgroup has. sched_setaffinity(2) */
export function schedSetaffinity(pid: Argument, processors: readonly NumberRange[]): Call {
  const mask = bitMask(processors)
  return { name: 'sched_setaffinity', args: [pid, mask.length, mask] }
}

export interface MemoryPolicyOf {
  readonly mode: MemoryMode
  readonly flags: readonly MemoryFlag[]
  readonly nodes: readonly NumberRange[]
}

const MPOL_F_FIRST_BIT = 13

/** The memory policy of the caller, which execve(2) keeps. `maxnode` counts one bit more than there are: mm/mempolicy.c, get_nodes. */
export function setMempolicy({ mode, flags, nodes }: MemoryPolicyOf): Call {
  const number = indexIn(memoryModes, mode) | (bitsIn(memoryFlags, flags) << MPOL_F_FIRST_BIT)
  if (nodes.length === 0) return { name: 'set_mempolicy', args: [number, 0, 0] }
  const mask = bitMask(nodes)
  return { name: 'set_mempolicy', args: [number, mask, mask.length * 8 + 1] }
}

/** A bit for each number, in words of 64 bits as the kernel reads them. */
export function bitMask(ranges: readonly NumberRange[]): Uint8Array {
  const highest = ranges.reduce((most, { last }) => Math.max(most, last), 0)
  const mask = new Uint8Array((Math.floor(highest / 64) + 1) * 8)
  for (const { first, last } of ranges) {
    // Whole bytes at once: "all processors" is 8192 bits.
    const from = Math.min(Math.ceil(first / 8) * 8, last + 1)
    const to = Math.max(Math.floor((last + 1) / 8) * 8, from)
    mask.fill(0xff, from / 8, to / 8)
    for (let bit = first; bit < from; bit++) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (1 << (bit & 7))
    for (let bit = to; bit <= last; bit++) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (1 << (bit & 7))
  }
  return mask
}

const indexIn = (table: string, word: string): number => table.split(' ').indexOf(word)

/** The first word of the table is bit 0. */
const bitsIn = (table: string, words: readonly string[]): number =>
  words.reduce((bits, word) => bits | (1 << indexIn(table, word)), 0)

// By number: kernel:include/uapi/linux/sched.h, ioprio.h, mempolicy.h.
const policies = 'SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_ISO SCHED_IDLE SCHED_DEADLINE'
const ioClasses = 'IOPRIO_CLASS_NONE IOPRIO_CLASS_RT IOPRIO_CLASS_BE IOPRIO_CLASS_IDLE'
const memoryModes =
  'MPOL_DEFAULT MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED_MANY MPOL_WEIGHTED_INTERLEAVE'
// By bit.
const schedulingFlags =
  'SCHED_FLAG_RESET_ON_FORK SCHED_FLAG_RECLAIM SCHED_FLAG_DL_OVERRUN SCHED_FLAG_KEEP_POLICY SCHED_FLAG_KEEP_PARAMS SCHED_FLAG_UTIL_CLAMP_MIN SCHED_FLAG_UTIL_CLAMP_MAX'
const memoryFlags = 'MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES'
