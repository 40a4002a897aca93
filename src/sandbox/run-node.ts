/** run: one command in a container of its own, from start to end. */

import type { Frame } from '../executor/template.ts'
import { planContainer } from '../plan/container.ts'
import type { EgressRequest } from '../plan/egress.ts'
import type { Host } from '../plan/host.ts'
import { layersOf } from '../plan/overlay.ts'
import type { Plan } from '../plan/plan.ts'
import { accountFiles, accountTexts, cpuMsOf } from './account.ts'
import type { Channel } from './channel-node.ts'
import { isFull, type Result, runCommand } from './command-node.ts'
import { watchCpu } from './cpu-watch-node.ts'
import type { Denial } from './denial.ts'
import { denialsTo, hearDenials, MOST_DENIALS } from './denial-node.ts'
import { egressRequest, openEgress } from './egress-node.ts'
import { joinNetwork, leaveNetwork } from './engine-network-node.ts'
import { adviseLandlock, landlockedFor, planLandlockedRun, runLandlocked } from './landlock-node.ts'
import { type Machine, theMachine } from './machine-node.ts'
import { checkCommand, checkNames, RUN_NAMES, type RunOptions } from './options.ts'
import { type InstanceRequest, JOINED, type Joined, requestFor, type Shape } from './request.ts'
import { shapeFor } from './surroundings-node.ts'

/**
 * Runs a command to its end.
 *
 * Resolves for each command that was started, however it ended: `verdict` says how. Rejects with `OperationError` if the container could not be
 * made, the command not found, or the options are wrong; and with the reason of a signal that was aborted before.
 */
export async function run(command: readonly string[], options: RunOptions): Promise<Result> {
  checkCommand(command)
  checkNames(options, RUN_NAMES)
  options.signal?.throwIfAborted()
  const machine = theMachine()
  const landlocked = landlockedFor(machine, options)
  if (landlocked !== undefined)
    return inChannel(machine, (channel) => runLandlocked({ machine, channel, command, landlocked }))
  const shape = shapeFor(machine, options)
  return inChannel(machine, (channel) => runThrough(channel, { machine, shape, command, options }))
}

interface Start {
  readonly machine: Machine
  readonly shape: Shape
  readonly command: readonly string[]
  readonly options: RunOptions
  readonly egress?: EgressRequest | undefined
  /** With a network, that of the container which was made for it. */
  readonly id?: string | undefined
  readonly joined?: Joined | undefined
}

/** The plan that `run` would run. Throws and rejects as that does. */
export async function planOf(command: readonly string[], options: RunOptions): Promise<Plan> {
  checkCommand(command)
  checkNames(options, RUN_NAMES)
  options.signal?.throwIfAborted()
  const machine = theMachine()
  const landlocked = landlockedFor(machine, options)
  if (landlocked !== undefined)
    return inChannel(machine, async (channel) =>
      planLandlockedRun({ machine, channel, command, landlocked }, machine.nextId()),
    )
  const shape = shapeFor(machine, options)
  return inChannel(machine, async ({ paths }) => {
    const egress = shape.hosts === undefined ? undefined : egressRequest(machine, shape.hosts, 'NAME.relay')
    const host = shape.joins === undefined ? machine.host : withJoined(machine.host)
    const start = { machine: { ...machine, host }, shape, command, options, egress }
    return planRun(start, { id: machine.nextId(), paths, args: command, measuresDisk: measures(start) })
  })
}

/** As if the files of its network were made. */
const withJoined = (host: Host): Host => ({
  ...host,
  kindOf: (path) => (path.startsWith(JOINED.directory) ? 'file' : host.kindOf(path)),
})

async function inChannel<Value>(
  { channels }: Pick<Machine, 'channels'>,
  work: (channel: Channel) => Promise<Value>,
): Promise<Value> {
  const channel = await channels.take()
  try {
    return await work(channel)
  } finally {
    channel.release()
  }
}

const measures = ({ shape }: Start): boolean => shape.hasLayer && shape.limits.diskBytes !== undefined

async function runThrough(channel: Channel, start: Start): Promise<Result> {
  const { machine, shape, options } = start
  if (shape.joins === undefined) return runTold(channel, start)
  const id = machine.nextId()
  const joined = await joinNetwork(shape, id)
  try {
    options.signal?.throwIfAborted()
    return await runTold(channel, { ...start, id, joined })
  } finally {
    await leaveNetwork(shape, id)
  }
}

async function runTold(channel: Channel, start: Start): Promise<Result> {
  const { machine, shape } = start
  if (!shape.denials && shape.hosts === undefined) return runHeard(channel, start)
  const denials: Denial[] = []
  let denialsLost = 0
  const lose = (count: number): void => {
    denialsLost += count
  }
  const take = (denial: Denial): void => {
    if (denials.length < MOST_DENIALS) denials.push(denial)
    else lose(1)
  }
  const egress = shape.hosts === undefined ? undefined : await openEgress(machine, shape.hosts, take)
  const stopHearing = shape.denials ? hearDenials(channel, { take, lose }) : undefined
  const stop = (): Promise<unknown> => Promise.all([stopHearing?.(), egress?.close()])
  try {
    const result = await runHeard(channel, { ...start, egress: egress?.request })
    await stop()
    return { ...result, denials, denialsLost }
  } catch (error) {
    await stop()
    throw error
  }
}

function runHeard(channel: Channel, start: Start): Promise<Result> {
  const { machine, shape, options, id = machine.nextId() } = start
  const { limits, enforced } = shape
  const { cgroup } = instanceOf(start, id)
  const measuresDisk = measures(start)
  return runCommand({
    machine,
    channel,
    frame: frameFor(start, { channel, measuresDisk, id }),
    limits,
    enforced,
    cgroupName: `coffer-${id}`,
    isDiskFull: async (report) => measuresDisk && isFull(report),
    advise: machine.host.isRootless ? adviseLandlock : undefined,
    signal: options.signal,
    onStart: (end) =>
      watchCpu({
        usedMs: () => cpuMsOf(accountTexts(machine.files, cgroup)),
        limits,
        cpuCount: machine.cpuCount,
        onExceeded: () => end('cpu-time'),
      }),
  })
}

const instanceOf = ({ machine, shape, egress, joined }: Start, id: string): InstanceRequest =>
  requestFor({ ...machine, id, shape, egress, joined })

interface FrameParts {
  readonly channel: Channel
  readonly measuresDisk: boolean
  readonly id: string
}

/** What differs between two runs of a program: the name, the fifos, and the arguments. */
function frameFor(start: Start, { channel, measuresDisk, id }: FrameParts): Frame {
  const { machine, shape, options } = start
  const [program = '', ...rest] = start.command
  const { control, stdout, stderr, denied } = channel.paths
  // What a view of the whole machine is put together of may be another thing each time, and the address of a socket is no text to fill in.
  const isAlike =
    options.stdin === undefined &&
    start.egress === undefined &&
    start.joined === undefined &&
    !(machine.host.isRootless && options.root === 'host')
  return machine.frames({
    key: isAlike ? JSON.stringify(['run', shape.key, program, rest.length, measuresDisk]) : undefined,
    words: [id, control, stdout, stderr, denied, ...rest],
    plan: ([name = '', given = '', out = '', err = '', told = '', ...args]) =>
      planRun(start, {
        id: name,
        paths: { control: given, stdout: out, stderr: err, denied: told },
        args: [program, ...args],
        measuresDisk,
      }),
  })
}

interface PlanParts {
  readonly id: string
  readonly paths: Pick<Channel['paths'], 'control' | 'stdout' | 'stderr' | 'denied'>
  readonly args: readonly string[]
  readonly measuresDisk: boolean
}

function planRun(start: Start, { id, paths, args, measuresDisk }: PlanParts): Plan {
  const { request, cgroup } = instanceOf(start, id)
  const { config } = request
  const { stdin } = start.options
  return planContainer(
    {
      ...request,
      config: { ...config, process: { ...config.process, args } },
      stdio: {
        stdin: typeof stdin === 'string' ? Buffer.from(stdin) : stdin,
        stdout: paths.stdout,
        stderr: paths.stderr,
      },
      supervised: {
        control: paths.control,
        holds: start.shape.holds,
        deadlineMs: start.shape.limits.wallClockMs,
        accounts: accountFiles(cgroup),
        // The copy-on-write view is the first mount: engine/config-mounts.ts.
        ...(measuresDisk ? { measures: layersOf(0) } : {}),
      },
      denials: start.shape.denials ? denialsTo(paths.denied) : undefined,
    },
    start.machine.host,
  )
}
