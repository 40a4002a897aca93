/** delete: takes back all that was made for a container, however far its start came. */

import { OperationError } from '../base/errors.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'
import { isAlive } from '../observe/process.ts'
import { parseConfig } from '../oci/config.ts'
import { planRemove } from '../plan/remove.ts'
import { killAll } from './kill.ts'
import type { Machine } from './machine.ts'
import { type Container, checkId, findContainer, readContainer } from './store.ts'

const SIGKILL = 9

/** Without `force` it throws `conflict` for a container that runs, and `missing` for none. */
export function removeContainer(machine: Machine, id: string, { force }: { readonly force: boolean }): void {
  checkId(id)
  const container = force
    ? readContainer(machine.files, machine.root, id)
    : findContainer(machine.files, machine.root, id)
  if (container === undefined) return
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
  runPlan(
    machine.native,
    planRemove({
      place: { root: machine.root, id },
      cgroup,
      below: Object.values(cgroup.paths).flatMap((path) => listCgroupsBelow(machine.files, path)),
      ...('init' in container && isAlive(machine.files, container.init) ? { init: container.init.pid } : {}),
      ...(record === undefined ? {} : { poststop: poststopOf(container, record) }),
    }),
  )
}

/** What poststop hooks need; the configuration was valid when it was recorded. */
function poststopOf(container: Container, record: NonNullable<Container['record']>) {
  const config = parseConfig(record.config, `${container.directory}/state.json`)
  return { config, bundle: record.bundle }
}
