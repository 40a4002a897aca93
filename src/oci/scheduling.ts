/** When, where and how urgently the container's process runs: scheduler, I/O priority, processor affinity. */

import { optionalSection, requiredWord, type Section, wordsOf } from '../base/field.ts'
import {
  INT32,
  type Integer64,
  optionalInteger,
  optionalInteger64,
  type Range,
  requiredInteger,
  UINT64,
} from '../base/integer.ts'
import { fieldOf, refuse, refuseUnsupported } from '../base/place.ts'
import { type NumberRange, numberRangesOf } from './list-format.ts'

const POLICIES = [
  'SCHED_OTHER',
  'SCHED_FIFO',
  'SCHED_RR',
  'SCHED_BATCH',
  'SCHED_ISO',
  'SCHED_IDLE',
  'SCHED_DEADLINE',
] as const

const SCHEDULER_FLAGS = [
  'SCHED_FLAG_RESET_ON_FORK',
  'SCHED_FLAG_RECLAIM',
  'SCHED_FLAG_DL_OVERRUN',
  'SCHED_FLAG_KEEP_POLICY',
  'SCHED_FLAG_KEEP_PARAMS',
  'SCHED_FLAG_UTIL_CLAMP_MIN',
  'SCHED_FLAG_UTIL_CLAMP_MAX',
] as const
export type SchedulerFlag = (typeof SCHEDULER_FLAGS)[number]

interface SchedulerOptions {
  /** -20 (most urgent) to 19; the kernel uses it for SCHED_OTHER and SCHED_BATCH. */
  readonly nice: number
  readonly flags: readonly SchedulerFlag[]
}

/** sched_setattr(2). `priority` is 1 to 99; `runtime`, `deadline` and `period` are nanoseconds, a `period` of 0 is `deadline`. */
export type Scheduler = SchedulerOptions &
  (
    | { readonly policy: 'SCHED_OTHER' | 'SCHED_BATCH' | 'SCHED_IDLE' }
    | { readonly policy: 'SCHED_FIFO' | 'SCHED_RR'; readonly priority: number }
    | {
        readonly policy: 'SCHED_DEADLINE'
        readonly runtime: Integer64
        readonly deadline: Integer64
        readonly period: Integer64
      }
  )

const NICE: Range = { min: -20, max: 19 }
const PRIORITY: Range = { min: 1, max: 99 }

/** Throws `invalid` for a parameter that the policy does not have. Source: oci:runtime-spec/config.md "scheduler", sched(7) */
export function schedulerOf(process: Section): Scheduler | undefined {
  const section = optionalSection(process, 'scheduler')
  if (section === undefined) return undefined
  const policy = requiredWord(section, 'policy', POLICIES)
  const nice = optionalInteger(section, 'nice', NICE) ?? 0
  const flags = wordsOf(section, 'flags', SCHEDULER_FLAGS)
  if (policy !== 'SCHED_FIFO' && policy !== 'SCHED_RR') refuseNonZero(section, 'priority', policy)
  if (policy !== 'SCHED_DEADLINE') {
    for (const key of ['runtime', 'deadline', 'period']) refuseNonZero(section, key, policy)
  }
  switch (policy) {
    case 'SCHED_OTHER':
    case 'SCHED_BATCH':
    case 'SCHED_IDLE':
      return { policy, nice, flags }
    case 'SCHED_FIFO':
    case 'SCHED_RR':
      return { policy, nice, flags, priority: requiredInteger(section, 'priority', PRIORITY) }
    case 'SCHED_DEADLINE':
      return { policy, nice, flags, ...deadlineOf(section) }
    case 'SCHED_ISO':
      // uapi/linux/sched.h reserves the number 4 for it; it was never merged.
      refuseUnsupported(fieldOf(section.place, 'policy'), 'is "SCHED_ISO", which no released Linux has')
  }
}

function refuseNonZero(section: Section, key: string, policy: string): void {
  const value = optionalInteger64(section, key, key === 'priority' ? INT32 : UINT64) ?? 0
  if (value !== 0) refuse(fieldOf(section.place, key), `is ${value}, and ${policy} has none`, 'leave it out')
}

function deadlineOf(section: Section): { runtime: Integer64; deadline: Integer64; period: Integer64 } {
  const runtime = optionalInteger64(section, 'runtime', UINT64) ?? 0
  const deadline = optionalInteger64(section, 'deadline', UINT64) ?? 0
  const period = optionalInteger64(section, 'period', UINT64) ?? 0
  const hint = 'SCHED_DEADLINE wants 0 < runtime <= deadline <= period, in nanoseconds'
  if (runtime === 0) refuse(fieldOf(section.place, 'runtime'), 'is missing or 0', hint)
  if (deadline < runtime) refuse(fieldOf(section.place, 'deadline'), `is ${deadline}, less than runtime`, hint)
  if (period !== 0 && period < deadline) {
    refuse(fieldOf(section.place, 'period'), `is ${period}, less than deadline`, hint)
  }
  return { runtime, deadline, period }
}

const IO_PRIORITY_CLASSES = ['IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'] as const

/** ioprio_set(2). `priority` is 0 (first) to 7; the idle class has none. */
export interface IoPriority {
  readonly class: (typeof IO_PRIORITY_CLASSES)[number]
  readonly priority: number
}

const IO_PRIORITY: Range = { min: 0, max: 7 }

/** Source: oci:runtime-spec/config.md "ioPriority" */
export function ioPriorityOf(process: Section): IoPriority | undefined {
  const section = optionalSection(process, 'ioPriority')
  if (section === undefined) return undefined
  return {
    class: requiredWord(section, 'class', IO_PRIORITY_CLASSES),
    priority: optionalInteger(section, 'priority', IO_PRIORITY) ?? 0,
  }
}

/** For exec: the processors before the process enters the container's cgroup, and after; undefined leaves them alone. */
export interface CpuAffinity {
  readonly initial?: readonly NumberRange[] | undefined
  readonly final?: readonly NumberRange[] | undefined
}

/** Source: oci:runtime-spec/config.md "execCPUAffinity" */
export function cpuAffinityOf(process: Section): CpuAffinity | undefined {
  const section = optionalSection(process, 'execCPUAffinity')
  if (section === undefined) return undefined
  return { initial: numberRangesOf(section, 'initial'), final: numberRangesOf(section, 'final') }
}
