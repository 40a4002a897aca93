/** start: a created container's init stops waiting and becomes its program. */

import { OperationError } from '../base/errors.ts'
import { close } from '../executor/embedded-files.ts'
import { effectiveCapabilities } from '../executor/embedded-process.ts'
import { FIRST_EXTRA, runPlan } from '../executor/run-embedded.ts'
import { runHere } from '../executor/run-here.ts'
import { capabilityBit, hasBit } from '../linux/capabilities.ts'
import { planStart } from '../plan/start.ts'
import { isThere, openContainer } from './hold.ts'
import { openInit } from './kill.ts'
import type { Machine } from './machine.ts'
import { recordedHooks } from './recorded-hooks.ts'
import { type Container, findContainer, missingContainer } from './store.ts'

/** Throws `conflict` if the container is not `created`, and the error of a failed hook, which ends it. */
export function startContainer(machine: Machine, id: string): void {
  const directory = openContainer(machine, id)
  if (directory === undefined) throw missingContainer(machine.root, id)
  try {
    const container = findContainer(machine.files, machine.root, id)
    if (!isThere(machine, id, directory)) throw missingContainer(machine.root, id)
    startFound(machine, container, directory)
  } finally {
    close(machine.native, directory)
  }
}

function startFound(machine: Machine, container: Container, directory: number): void {
  const { id } = container
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
  const wanted = {
    id,
    hooks,
    state,
    pid: init.pid,
    awaitsProgram: !hasBit(effectiveCapabilities(machine.native), capabilityBit('CAP_SYS_PTRACE')),
  }
  // As in remove.ts: an executor is for what a plan starts.
  if (!hasHooks) {
    runHere(machine.native, planStart({ ...wanted, directory }))
    return
  }
  const plan = planStart({ ...wanted, directory: FIRST_EXTRA, initPidfd: FIRST_EXTRA + 1 })
  runPlan(machine.native, plan, { extraFds: [directory, openInit(machine, container)] })
}
