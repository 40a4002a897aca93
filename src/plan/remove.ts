/** delete: what is taken back, and in which order. */

import { slot } from '../linux/call.ts'
import { pidfdOpen, pidfdSendSignal } from '../linux/process.ts'
import type { Config } from '../oci/config.ts'
import type { CgroupDirectories } from './cgroup-place.ts'
import { planCgroupRemove } from './cgroup-remove.ts'
import { planHooks } from './hooks.ts'
import type { Plan, Step } from './plan.ts'
import { planForget, type StatePlace } from './state.ts'

export interface RemoveRequest {
  readonly place: StatePlace
  readonly cgroup: CgroupDirectories
  /** Cgroups that the container made in its own, the deepest first. */
  readonly below: readonly string[]
  /** The pid of an init that is known to be alive. */
  readonly init?: number
  readonly poststop?: { readonly config: Config; readonly bundle: string }
}

/** Processes first, as they keep cgroups busy; the record last, so that a removal that is cut short can be done again. */
export function planRemove({ place, cgroup, below, init, poststop }: RemoveRequest): Plan {
  return {
    operation: `delete ${place.id}`,
    steps: [
      ...(init === undefined ? [] : planEnd(init, place.id)),
      ...planCgroupRemove(cgroup, below),
      ...planForget(place),
      ...(poststop === undefined ? [] : planPoststop(place.id, poststop)),
    ],
  }
}

/** Init is another's child, so it is not reaped here: its descriptor becomes readable when it has ended. pidfd_open(2) */
function planEnd(pid: number, id: string): readonly Step[] {
  const pidfd = slot('init-pidfd')
  const why = `end ${id}`
  const poll = {
    struct: new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0]),
    fields: [{ offset: 0, sizeBytes: 4 as const, value: pidfd }],
  }
  const tenSeconds = new Uint8Array([10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
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
          call: { name: 'ppoll', args: [poll, 1, tenSeconds, 0, 8] },
          why: `wait until ${id} has ended`,
          see: ['pidfd_open(2)'],
          check: { result: 1, errno: 'ETIMEDOUT' },
        },
      ],
    },
  ]
}

const planPoststop = (id: string, { config, bundle }: NonNullable<RemoveRequest['poststop']>): readonly Step[] =>
  planHooks('poststop', config.hooks.poststop, {
    id,
    bundle,
    annotations: config.annotations,
    ociVersion: config.ociVersion,
    status: 'stopped',
    pid: 0,
  })
