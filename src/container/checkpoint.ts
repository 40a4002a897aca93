/** checkpoint: a container into a directory of images, by criu. */

import { OperationError } from '../base/errors.ts'
import { FIRST_EXTRA, runPlan } from '../executor/run-embedded.ts'
import { readMounts } from '../observe/mounts.ts'
import { parseConfig } from '../oci/config.ts'
import { type CheckpointOptions, checkpointWhy, planCheckpoint } from '../plan/checkpoint.ts'
import { refuseCheckpoint } from '../plan/checkpoint-refusals.ts'
import { DUMP_LOG } from '../plan/criu.ts'
import { findCriu, hostsNamespace, namespacesFor, withLog } from './criu.ts'
import { externalsOf, readDescriptors } from './external.ts'
import { hostOf } from './host.ts'
import type { Machine } from './machine.ts'
import { removeContainer } from './remove.ts'
import { findContainer, type LiveContainer } from './store.ts'

export interface CheckpointCall {
  readonly id: string
  readonly options: CheckpointOptions
  /** Of the caller: criu is looked for in its $PATH. */
  readonly env: ReadonlyMap<string, string>
  /** A descriptor of the caller: --status-fd. */
  readonly statusFd?: number | undefined
  readonly warn: (text: string) => void
}

/**
 * A container that does not go on is removed, as runc does: what is left of it is in the images.
 *
 * Throws `conflict` unless it runs or is paused, and `unsupported` for what criu would not bring back.
 */
export function checkpointContainer(machine: Machine, call: CheckpointCall): void {
  const { files, native, root } = machine
  const { id, options, env, statusFd } = call
  const why = checkpointWhy(id)
  const { record, init, directory } = running(findContainer(files, root, id), why)
  const config = parseConfig(record.config, `${directory}/state.json`)
  const isHosts = hostsNamespace(files, config.linux)
  refuseCheckpoint(config, { operation: why, isRootless: hostOf(machine).isRootless, isHosts })
  const mounts = readMounts(files, init.pid) ?? []
  const { joined } = namespacesFor(files, config)
  const { paths } = record.cgroup
  const plan = planCheckpoint({
    id,
    criu: findCriu(files, env, config),
    pid: init.pid,
    rootfs: record.rootfs,
    freezer: paths.freezer ?? paths[''],
    external: options.preDump ? [] : externalsOf(files, { config, pid: init.pid, mounts, joined }),
    descriptors: readDescriptors(files, init.pid, mounts),
    options,
    ...(statusFd === undefined ? {} : { statusFd: FIRST_EXTRA }),
  })
  withLog(machine, {
    why,
    log: `${options.workDirectory}/${DUMP_LOG}`,
    run: () => runPlan(native, plan, { extraFds: statusFd === undefined ? [] : [statusFd] }),
  })
  if (!options.leaveRunning && !options.preDump) removeContainer(machine, id, { force: true, warn: call.warn })
}

function running(container: ReturnType<typeof findContainer>, operation: string): LiveContainer {
  if (container.status === 'running' || container.status === 'paused') return container as LiveContainer
  throw new OperationError({
    kind: 'conflict',
    operation,
    reason: `container cannot be checkpointed in ${container.status} state`,
    hint:
      container.status === 'created'
        ? `start it first: coffer-runc start ${container.id}`
        : 'only processes that live can be',
  })
}
