/** What `run` has to do once its plan has ended, beside what the plan itself takes back. */

import type { Report } from '../executor/report.ts'
import type { CreateRequest } from './create.ts'
import type { Machine } from './machine.ts'
import { warnOfPoststop } from './poststop.ts'
import type { Prepared } from './prepare.ts'
import { removeContainer } from './remove.ts'

/**
 * Tells of poststop hooks that failed; and removes a container that its plan has left because there may be processes of it that only their
 * pids would end: without a pid namespace of its own, on a machine without cgroup v2.
 */
export function finishRun(machine: Machine, request: CreateRequest, { facts }: Prepared, report: Report): void {
  const hasCgroupKill = facts.cgroup.paths[''] !== undefined
  if (!hasCgroupKill && !facts.hasOwnPids) removeContainer(machine, request.id, { force: true, warn: request.warn })
  // Most configurations have none, and need not be parsed to know it.
  else if (request.configText.includes('"poststop"'))
    warnOfPoststop(report, request.config().hooks.poststop, request.warn)
}
