/**
 * What a process is given by its parent, the executor, once it is made up to its program and waits to be started.
 *
 * From outside, because the executor still has the privilege over the machine that raising a limit or a priority takes, also where the process
 * is in a user namespace; and last, because limits hold for the process while it is being made, too. An executor without that privilege
 * leaves limits to the process, which may always lower its own.
 */

import type { Slot } from '../linux/call.ts'
import { PR_SET_DUMPABLE, prctl } from '../linux/process.ts'
import type { Process } from '../oci/process.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { planRlimits } from './rlimits.ts'
import { forgetAffinity, planFinalAffinity, planOomScoreAdj, planScheduling } from './scheduling.ts'

export interface OutsideRequest {
  readonly process: Process
  /** The process, as the procfs of the host and the executor know it. */
  readonly pid: Slot
  /** execCPUAffinity is for processes of exec alone: oci:runtime-spec/config.md "execCPUAffinity" */
  readonly isInit: boolean
}

const SEE_DUMPABLE: readonly Ref[] = ['proc(5)', 'PR_SET_DUMPABLE(2const)']

/**
 * In an executor without privilege, before it makes the process, which inherits it.
 *
 * The files of a process that is not dumpable belong to root, so it may not write those of the process, and its own only while it is dumpable.
 */
export function planInherited({ oomScoreAdj }: Process, { isRootless }: Pick<Host, 'isRootless'>): readonly Step[] {
  if (!isRootless || oomScoreAdj === undefined) return []
  return [
    { call: prctl(PR_SET_DUMPABLE, 1), why: 'own the files of this process in /proc', see: SEE_DUMPABLE },
    ...planOomScoreAdj({ oomScoreAdj }, 'self'),
    { call: prctl(PR_SET_DUMPABLE, 0), why: 'keep others from looking into it', see: SEE_DUMPABLE },
  ]
}

type OutsideHost = Pick<Host, 'isRootless' | 'canRaiseLimits'>

/** In the executor, between "only the program is missing" and "start". */
export function planOutside({ process, pid, isInit }: OutsideRequest, host: OutsideHost): readonly Step[] {
  const affinity = isInit ? [] : planFinalAffinity(process, pid)
  return [
    ...(host.isRootless ? [] : planOomScoreAdj(process, pid)),
    ...(affinity.length === 0 ? [forgetAffinity(pid)] : affinity),
    ...planScheduling(process, pid),
    ...(host.canRaiseLimits ? planRlimits(process.rlimits, pid) : []),
  ]
}

/** In the process, when it has nothing more to open, and before there is a filter. */
export const planOwnLimits = ({ rlimits }: Process, { canRaiseLimits }: OutsideHost): readonly Step[] =>
  canRaiseLimits ? [] : planRlimits(rlimits, 0)
