/** What is missing of a cgroup, in words. */

import type { LabCgroup, Look } from './look.ts'

/** The cgroup `coffer-lab-…` of a controller, with what `then` finds missing in it: that it is there, and has a process, is seen here. */
export function inCgroup(
  look: Look,
  controller: string,
  name: string,
  then: (cgroup: LabCgroup) => readonly string[],
): readonly string[] {
  const found = look.cgroup(controller, name)
  if (found === undefined) return [`there is no cgroup ${name}: mkdir ${look.hierarchy(controller)}/${name}`]
  const empty = found.pids.length > 0 ? [] : [`no process is in ${found.directory}: echo PID > cgroup.procs there`]
  return [...empty, ...then(found)]
}
