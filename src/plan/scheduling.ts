/** When and where the process runs, and who is killed first. From outside: most of it takes privilege over the machine. */

import { type Argument, type Slot, slot, text } from '../linux/call.ts'
import {
  close,
  O_WRONLY,
  openat2,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_XDEV,
  write,
} from '../linux/files.ts'
import { ioprioSet, type NumberRange, schedSetaffinity, schedSetattr } from '../linux/scheduling.ts'
import type { Process } from '../oci/process.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

/** Scheduler and I/O priority of the process `pid`, 0 for the caller. Source: oci:runtime-spec/config.md "scheduler", "ioPriority" */
export function planScheduling(
  { scheduler, ioPriority }: Pick<Process, 'scheduler' | 'ioPriority'>,
  pid: Argument,
): readonly Step[] {
  const steps: Step[] = []
  if (scheduler !== undefined)
    steps.push({
      call: schedSetattr(pid, scheduler),
      why: `have it scheduled by ${scheduler.policy}`,
      see: ['sched_setattr(2)', 'sched(7)'],
    })
  if (ioPriority !== undefined)
    steps.push({
      call: ioprioSet(pid, ioPriority.class, ioPriority.priority),
      why: `have its reads and writes done as ${ioPriority.class}, level ${ioPriority.priority}`,
      see: ['ioprio_set(2)'],
    })
  return steps
}

const SEE_AFFINITY: readonly Ref[] = ['sched_setaffinity(2)']

/** exec: on which processors its parent makes it, which it leaves with the container's cgroups. oci:runtime-spec/config.md "execCPUAffinity" */
export const planInitialAffinity = (
  { execCPUAffinity }: Pick<Process, 'execCPUAffinity'>,
  pid: Argument,
): readonly Step[] => planAffinity(execCPUAffinity?.initial, pid)

/** exec: on which processors it runs, once it is in the container's cgroups. */
export const planFinalAffinity = (
  { execCPUAffinity }: Pick<Process, 'execCPUAffinity'>,
  pid: Argument,
): readonly Step[] => planAffinity(execCPUAffinity?.final, pid)

const planAffinity = (processors: readonly NumberRange[] | undefined, pid: Argument): readonly Step[] =>
  processors === undefined
    ? []
    : [
        {
          call: schedSetaffinity(pid, processors),
          why: `run on processors ${rangesText(processors)}`,
          see: SEE_AFFINITY,
        },
      ]

const rangesText = (ranges: readonly NumberRange[]): string =>
  ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',')

/** More than any kernel has: CONFIG_NR_CPUS is 8,192 at most. */
const ALL_PROCESSORS: readonly NumberRange[] = [{ first: 0, last: 8191 }]

/**
 * Gives a process all processors of its cpuset. Since Linux 6.2 a set that the caller was given, by systemd for example, outlives the move to
 * another cgroup. kernel/sched/core.c, "Enforce user requested affinity"
 */
export const forgetAffinity = (pid: Argument): Step => ({
  call: schedSetaffinity(pid, ALL_PROCESSORS),
  why: 'run on all processors of its cgroup, whatever the caller was bound to',
  see: SEE_AFFINITY,
  // It is the cgroup that limits; what a filter or an odd cpuset refuses here is not worth a container. runc only warns, too.
  tolerate: ['EPERM', 'EINVAL', 'ENOSYS'],
})

const OOM_FILE = slot('oom-score-adj')

/**
 * How soon the kernel kills it when memory is short, -1000 (never) to 1000.
 *
 * `pid` is a process of the same pid namespace as the procfs of the host, and the caller privileged: the file of a process that is not
 * dumpable belongs to root, so one in a user namespace cannot open its own.
 * proc_pid_oom_score_adj(5), proc(5) "PR_SET_DUMPABLE"
 */
export function planOomScoreAdj({ oomScoreAdj }: Pick<Process, 'oomScoreAdj'>, pid: Slot | 'self'): readonly Step[] {
  if (oomScoreAdj === undefined) return []
  const digits = String(oomScoreAdj)
  const why = `set its oom_score_adj to ${digits}`
  const see: readonly Ref[] = ['proc_pid_oom_score_adj(5)']
  const path = pid === 'self' ? 'self/oom_score_adj' : text(pid, '/oom_score_adj')
  return [
    { call: openOwnProc(path, O_WRONLY), why, see, into: OOM_FILE },
    { call: write(OOM_FILE, digits, digits.length), why, see },
    { call: close(OOM_FILE), why, see },
  ]
}

/** `self` is a symbolic link of procfs, but no magic one; nothing else is followed, and no other mount entered. */
export const openOwnProc = (path: Parameters<typeof openat2>[1], flags: number): ReturnType<typeof openat2> =>
  openat2(HOST_PROC, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)
