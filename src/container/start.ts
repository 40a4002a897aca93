/** start: a created container's init stops waiting and becomes its program. */

import { OperationError } from '../base/errors.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { parseConfig } from '../oci/config.ts'
import { planStart } from '../plan/start.ts'
import type { Machine } from './machine.ts'
import { findContainer } from './store.ts'

/** Throws `conflict` if the container is not `created`. */
export function startContainer(machine: Machine, id: string): void {
  const container = findContainer(machine.files, machine.root, id)
  if (container.status !== 'created')
    throw new OperationError({
      kind: 'conflict',
      operation: `start ${id}`,
      reason:
        container.status === 'stopped'
          ? 'cannot start a container that has stopped'
          : `cannot start an already ${container.status} container`,
      hint: container.status === 'stopped' ? 'delete it and create it again' : 'nothing has to be done',
    })
  const { record, init } = container
  const config = parseConfig(record.config, `${container.directory}/state.json`)
  runPlan(
    machine.native,
    planStart({ place: { root: machine.root, id }, bundle: record.bundle, config, pid: init.pid }),
  )
}
