/**
 * What a process is given by its parent, the executor, once it is made up to its program and waits to be started.
 *
 * From outside, because the executor still has the privilege over the machine that raising a limit or a priority takes, also where the process
 * is in a user namespace; and last, because limits hold for the process while it is being made, too.
 */

import type { Slot } from '../linux/call.ts'
import type { Process } from '../oci/process.ts'
import type { Step } from './plan.ts'
import { planRlimits } from './rlimits.ts'
import { forgetAffinity, planFinalAffinity, planOomScoreAdj, planScheduling } from './scheduling.ts'

export interface OutsideRequest {
  readonly process: Process
  /** The process, as the procfs of the host and the executor know it. */
  readonly pid: Slot
  /** execCPUAffinity is for processes of exec alone: oci:runtime-spec/config.md "execCPUAffinity" */
  readonly isInit: boolean
  /**
   * An executor without privilege may not write the files of a process that is not dumpable. It has to set its own oom_score_adj, which
   * children inherit, while it is dumpable itself: planOomScoreAdj with `self`.
   */
  readonly isRootless: boolean
}

/** In the executor, between "only the program is missing" and "start". */
export function planOutside({ process, pid, isInit, isRootless }: OutsideRequest): readonly Step[] {
  const affinity = isInit ? [] : planFinalAffinity(process, pid)
  return [
    ...(isRootless ? [] : planOomScoreAdj(process, pid)),
    ...(affinity.length === 0 ? [forgetAffinity(pid)] : affinity),
    ...planScheduling(process, pid),
    ...planRlimits(process.rlimits, pid),
  ]
}
