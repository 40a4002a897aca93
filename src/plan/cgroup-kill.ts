/** Kills, or signals, every process of a container. */

import { slot } from '../linux/call.ts'
import { kill } from '../linux/cgroup.ts'
import { AT_FDCWD, O_WRONLY, openat, write } from '../linux/files.ts'
import { V2 } from './cgroup-files.ts'
import type { CgroupDirectories } from './cgroup-place.ts'
import type { Step } from './plan.ts'

const SIGKILL = 9

export interface KillAll {
  readonly cgroup: CgroupDirectories
  readonly signal: number
  /**
   * The processes in the cgroup, from cgroup.procs, read after it was frozen (planFreeze): a frozen process keeps its pid, so that the signal
   * meets no other. They die when it is thawed (planThaw).
   */
  readonly pids: readonly number[]
}

/** SIGKILL goes to the v2 cgroup as a whole, so that no fork escapes; any other signal, or a kernel before 5.14, to the pids one by one. */
export function planKillAll({ cgroup, signal, pids }: KillAll): readonly Step[] {
  const one = pids.map(
    (pid): Step => ({
      call: kill(pid, signal),
      why: `send signal ${signal} to its process ${pid}`,
      see: ['kill(2)'],
      tolerate: ['ESRCH'],
    }),
  )
  const unified = cgroup.paths['']
  if (signal !== SIGKILL || unified === undefined) return one
  return killCgroup(unified, one)
}

/** Kills whatever is in a v2 cgroup and in those below it, forks included; `otherwise` for kernels before 5.14, which cannot. */
export function killCgroup(path: string, otherwise?: readonly Step[]): readonly Step[] {
  const file = slot('cgroup.kill')
  const reason = { why: 'kill all its processes', see: [`${V2} "cgroup.kill"`] }
  return [
    {
      call: openat(AT_FDCWD, `${path}/cgroup.kill`, O_WRONLY),
      ...reason,
      into: file,
      tolerate: ['ENOENT'],
      then: [{ call: write(file, '1', 1), ...reason }],
      ...(otherwise === undefined ? {} : { otherwise }),
    },
  ]
}
