/** start: a created container's init stops waiting and becomes its program. */

import { OperationError } from '../base/errors.ts'
import { effectiveCapabilities } from '../executor/embedded-process.ts'
import { FIRST_EXTRA, runPlan } from '../executor/run-embedded.ts'
import { capabilityBit, hasBit } from '../linux/capabilities.ts'
import { planStart } from '../plan/start.ts'
import { openInit } from './kill.ts'
import type { Machine } from './machine.ts'
import { recordedHooks } from './recorded-hooks.ts'
import { findContainer } from './store.ts'

/** Throws `conflict` if the container is not `created`, and the error of a failed hook, which ends it. */
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
  const { hooks, state } = recordedHooks(record, container.directory)
  const hasHooks = hooks.startContainer.length + hooks.poststart.length > 0
  const plan = planStart({
    place: { root: machine.root, id },
    hooks,
    state,
    pid: init.pid,
    initPidfd: FIRST_EXTRA,
    awaitsProgram: !hasBit(effectiveCapabilities(machine.native), capabilityBit('CAP_SYS_PTRACE')),
  })
  runPlan(machine.native, plan, { extraFds: hasHooks ? [openInit(machine, container)] : [] })
}
