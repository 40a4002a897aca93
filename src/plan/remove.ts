/** delete: what is taken back, and in which order. */

import { slot } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { ppollReadable } from '../linux/poll.ts'
import { pidfdOpen, pidfdSendSignal } from '../linux/process.ts'
import type { Hook } from '../oci/hooks.ts'
import type { CgroupDirectories } from './cgroup-place.ts'
import { planCgroupRemove } from './cgroup-remove.ts'
import { type HookState, hookReads, planHooks } from './hooks.ts'
import type { Plan, Step } from './plan.ts'
import { planForget, type StatePlace } from './state.ts'

export interface RemoveRequest {
  readonly place: StatePlace
  /** The descriptor by which the directory of the container is held, for the plan to close once it is gone; undefined if its caller does. */
  readonly held: number | undefined
  readonly cgroup: CgroupDirectories
  /** Cgroups that the container made in its own, the deepest first. */
  readonly below: readonly string[]
  /** The pid of an init that is known to be alive. */
  readonly init?: number
  readonly poststop?: Pick<HookState, 'ociVersion' | 'bundle' | 'annotations'> & { readonly hooks: readonly Hook[] }
}

/** Processes first, as they keep cgroups busy; the record last, so that a removal that is cut short can be done again. */
export function planRemove({ place, held, cgroup, below, init, poststop }: RemoveRequest): Plan {
  const { id } = place
  return {
    operation: `delete ${id}`,
    steps: [
      ...(init === undefined ? [] : planEnd(init, id)),
      ...planCgroupRemove(cgroup, place.root, below),
      ...planForget(place),
      ...(held === undefined ? [] : [{ call: close(held), why: `let others have the name ${id}`, see: ['flock(2)'] }]),
      ...(poststop === undefined
        ? []
        : planHooks('poststop', poststop.hooks, { ...poststop, id, status: 'stopped', pid: 0 })),
    ],
    reads: hookReads({ poststop: poststop?.hooks ?? [] }),
  }
}

const END_SECONDS = 10

/** Init is another's child, so it is not reaped here: its descriptor becomes readable when it has ended. pidfd_open(2) */
function planEnd(pid: number, id: string): readonly Step[] {
  const pidfd = slot('init-pidfd')
  const why = `end ${id}`
  return [
    {
      call: pidfdOpen(pid),
      why,
      see: ['pidfd_open(2)'],
      into: pidfd,
      tolerate: ['ESRCH'],
      then: [
        { call: pidfdSendSignal(pidfd, 9), why, see: ['pidfd_send_signal(2)'], tolerate: ['ESRCH'] },
        {
          call: ppollReadable(pidfd, END_SECONDS),
          why: `wait until ${id} has ended`,
          see: ['pidfd_open(2)'],
          check: { result: 1, errno: 'ETIMEDOUT' },
        },
      ],
    },
  ]
}
