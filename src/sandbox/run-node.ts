/** run: one command in a container of its own, from start to end. */

import { planContainer } from '../plan/container.ts'
import { layersOf } from '../plan/overlay.ts'
import type { Plan } from '../plan/plan.ts'
import { accountFiles } from './account.ts'
import type { Channel } from './channel-node.ts'
import { type Result, runCommand } from './command-node.ts'
import { watchCpu } from './cpu-watch-node.ts'
import { type Machine, theMachine } from './machine-node.ts'
import { checkCommand, type RunOptions } from './options.ts'
import { hasLayer, type InstanceRequest, requestFor, type Shape } from './request.ts'
import { shapeFor } from './surroundings-node.ts'

/**
 * Runs a command to its end.
 *
 * Resolves for each command that was started, however it ended: `verdict` says how. Rejects with `OperationError` if the container could not be
 * made, the command not found, or the options are wrong; and with the reason of a signal that was aborted before.
 */
export async function run(command: readonly string[], options: RunOptions): Promise<Result> {
  checkCommand(command)
  options.signal?.throwIfAborted()
  const machine = theMachine()
  const shape = shapeFor(machine, options)
  const channel = await machine.channels.take()
  try {
    return await runThrough(channel, { machine, shape, command, options })
  } finally {
    channel.release()
  }
}

interface Start {
  readonly machine: Machine
  readonly shape: Shape
  readonly command: readonly string[]
  readonly options: RunOptions
}

/** The plan that `run` would run. Throws and rejects as that does. */
export async function planOf(command: readonly string[], options: RunOptions): Promise<Plan> {
  checkCommand(command)
  const machine = theMachine()
  const shape = shapeFor(machine, options)
  const channel = await machine.channels.take()
  try {
    return prepare(channel, { machine, shape, command, options }).plan
  } finally {
    channel.release()
  }
}

function prepare(channel: Channel, start: Start) {
  const { machine, shape, options } = start
  const instance = requestFor({ ...machine, id: machine.nextId(), shape })
  const accounts = accountFiles(instance.cgroup)
  const measuresDisk = hasLayer(options.root) && shape.limits.diskBytes !== undefined
  return { instance, accounts, measuresDisk, plan: planRun(instance, { ...start, channel, accounts, measuresDisk }) }
}

function runThrough(channel: Channel, start: Start): Promise<Result> {
  const { machine, shape, options } = start
  const { limits, enforced } = shape
  const { instance, ...prepared } = prepare(channel, start)
  return runCommand({
    machine,
    channel,
    ...prepared,
    limits,
    enforced,
    cgroupName: `coffer-${instance.request.place.id}`,
    signal: options.signal,
    onStart: (end) => watchCpu({ ...machine, cgroup: instance.cgroup, limits, onExceeded: () => end('cpu-time') }),
  })
}

interface PlanParts extends Start {
  readonly channel: Channel
  readonly accounts: readonly string[]
  readonly measuresDisk: boolean
}

function planRun({ request }: InstanceRequest, parts: PlanParts): Plan {
  const { channel, accounts, measuresDisk } = parts
  const { paths } = channel
  const { config } = request
  const { stdin } = parts.options
  return planContainer(
    {
      ...request,
      config: { ...config, process: { ...config.process, args: parts.command } },
      stdio: {
        stdin: typeof stdin === 'string' ? Buffer.from(stdin) : stdin,
        stdout: paths.stdout,
        stderr: paths.stderr,
      },
      supervised: {
        control: paths.control,
        deadlineMs: parts.shape.limits.wallClockMs,
        accounts,
        // The copy-on-write view is the first mount: engine/intent.ts.
        ...(measuresDisk ? { measures: layersOf(0) } : {}),
      },
    },
    parts.machine.host,
  )
}
