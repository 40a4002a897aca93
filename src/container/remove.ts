/** delete: takes back all that was made for a container, however far its start came. */

import { OperationError } from '../base/errors.ts'
import { close } from '../executor/embedded-files.ts'
import { FIRST_EXTRA, runPlan } from '../executor/run-embedded.ts'
import { runHere } from '../executor/run-here.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'
import { isAlive } from '../observe/process.ts'
import type { Plan } from '../plan/plan.ts'
import { planRemove } from '../plan/remove.ts'
import { holdContainer } from './hold.ts'
import { killAll } from './kill.ts'
import type { Machine } from './machine.ts'
import { warnOfPoststop } from './poststop.ts'
import { recordedHooks } from './recorded-hooks.ts'
import { findContainer, missingContainer, readRemains, recordedInit } from './store.ts'

const SIGKILL = 9

export interface RemoveOptions {
  /** Kill it if it runs, and let it be if there is none. */
  readonly force: boolean
  /** The pid of its init, where another container may have the name by now: that one is let be. */
  readonly init?: number
  /** Descriptors of locks, which the executor has as well. */
  readonly held?: readonly number[]
  /** Hears of poststop hooks that failed. */
  readonly warn: (text: string) => void
}

/** Without `force` it throws `conflict` for a container that runs, and `missing` for none. */
export function removeContainer(machine: Machine, id: string, options: RemoveOptions): void {
  const held = holdContainer(machine, id)
  if (held === undefined && !options.force) throw missingContainer(machine.root, id)
  if (held === undefined) return
  try {
    removeHeld(machine, { id, held }, options)
  } finally {
    close(machine.native, held)
  }
}

function removeHeld(
  machine: Machine,
  { id, held }: { readonly id: string; readonly held: number },
  { force, init, warn, held: locks = [] }: RemoveOptions,
): void {
  const container = force
    ? readRemains(machine.files, machine.root, id)
    : findContainer(machine.files, machine.root, id)
  if (container === undefined) return
  if (init !== undefined && recordedInit(machine.files, container.directory)?.pid !== init) return
  if (!force && container.status !== 'stopped' && container.status !== 'created')
    throw new OperationError({
      kind: 'conflict',
      operation: `delete ${id}`,
      reason: `cannot delete container that is not stopped: ${container.status}`,
      hint: `kill it first, or: coffer-runc delete --force ${id}`,
    })
  killAll(machine, container, SIGKILL)
  const { record } = container
  const cgroup = record?.cgroup ?? { paths: {} }
  const recorded = record === undefined ? undefined : recordedHooks(record, container.directory)
  const poststop = recorded?.hooks.poststop ?? []
  const plan = (descriptor?: number): Plan =>
    planRemove({
      place: { root: machine.root, id },
      held: descriptor,
      cgroup,
      below: Object.values(cgroup.paths).flatMap((path) => listCgroupsBelow(machine.files, path)),
      ...('init' in container && isAlive(machine.files, container.init) ? { init: container.init.pid } : {}),
      ...(recorded === undefined ? {} : { poststop: { hooks: poststop, ...recorded.state } }),
    })
  // Hooks are programs, and an executor starts those; the calls alone take half the time where nothing has to be started for them.
  if (poststop.length === 0) {
    runHere(machine.native, plan())
    return
  }
  const report = runPlan(machine.native, plan(FIRST_EXTRA), { extraFds: [held, ...locks] })
  warnOfPoststop(report, poststop, warn)
}
