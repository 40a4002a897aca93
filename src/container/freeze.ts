/** pause and resume: the freezer of the container's cgroup. */

import { OperationError } from '../base/errors.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { hasFreezer, planFreeze, planThaw } from '../plan/cgroup-freeze.ts'
import type { Machine } from './machine.ts'
import { findContainer } from './store.ts'

/** Without privilege it may have no cgroup of its own. */
export function canFreeze(machine: Machine, id: string): boolean {
  const container = findContainer(machine.files, machine.root, id)
  return container.status !== 'creating' && hasFreezer(container.record.cgroup)
}

/** Throws `conflict` unless the container is `running` or `created`. The executor has the descriptors `held` as well. */
export function freezeContainer(machine: Machine, id: string, held: readonly number[] = []): void {
  const container = findContainer(machine.files, machine.root, id)
  if (container.status !== 'running' && container.status !== 'created')
    throw new OperationError({
      kind: 'conflict',
      operation: `pause ${id}`,
      reason: container.status === 'paused' ? 'container is already paused' : 'container not running',
      hint: `it is ${container.status}`,
    })
  const plan = { operation: `pause ${id}`, steps: planFreeze(container.record.cgroup) }
  runPlan(machine.native, plan, { extraFds: held })
}

/** Throws `conflict` unless the container is `paused`. */
export function thawContainer(machine: Machine, id: string): void {
  const container = findContainer(machine.files, machine.root, id)
  if (container.status !== 'paused')
    throw new OperationError({
      kind: 'conflict',
      operation: `resume ${id}`,
      reason: 'container not paused',
      hint: `it is ${container.status}`,
    })
  runPlan(machine.native, { operation: `resume ${id}`, steps: planThaw(container.record.cgroup) })
}
