/** What `run` has to do once its plan has ended, beside what the plan itself takes back. */

import type { Report } from '../executor/report.ts'
import { isWhole, LAST_LOOK } from '../plan/cgroup-remove.ts'
import { INIT_PID } from '../plan/slots.ts'
import { isMine, STATE_LOOK } from '../plan/state.ts'
import type { CreateRequest } from './create.ts'
import type { Machine } from './machine.ts'
import { warnOfPoststop } from './poststop.ts'
import type { Prepared } from './prepare.ts'
import { removeContainer } from './remove.ts'

/**
 * Tells of poststop hooks that failed; and removes a container that its plan has left, because there may be processes of it that only their
 * pids would end (without a pid namespace of its own, on a machine without cgroup v2), or because it made cgroups in its own.
 */
export function finishRun(machine: Machine, request: CreateRequest, { facts }: Prepared, report: Report): void {
  const { paths } = facts.cgroup
  const endsAsOne = paths[''] !== undefined || facts.hasOwnPids
  const isRemoved = endsAsOne && (Object.keys(paths).length === 0 || isWhole(report.bytes(LAST_LOOK)))
  if (endsAsOne && !isMine(report.bytes(STATE_LOOK))) return
  if (!isRemoved) removeContainer(machine, request.id, { force: true, init: report.slot(INIT_PID), warn: request.warn })
  // Most configurations have none, and need not be parsed to know it.
  else if (request.configText().includes('"poststop"'))
    warnOfPoststop(report, request.config().hooks.poststop, request.warn)
}
