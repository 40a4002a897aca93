/** A command in a box that lives. */

import { OperationError } from '../base/errors.ts'
import { fstatfs } from '../linux/files.ts'
import type { ConsoleSize } from '../oci/process.ts'
import { planCgroupJoin } from '../plan/cgroup-join.ts'
import { planExec } from '../plan/exec.ts'
import type { Plan } from '../plan/plan.ts'
import type { Relay } from '../plan/relay.ts'
import type { Stdio } from '../plan/stdio.ts'
import { FILE_SYSTEM, type Supervised } from '../plan/supervised.ts'
import { cpuMsOf } from './account.ts'
import type { BoxState } from './box-state.ts'
import type { Channel } from './channel-node.ts'
import { isFull, type Result, runCommand } from './command-node.ts'
import { watchCpu } from './cpu-watch-node.ts'
import { type ExactLimits, exactLimits, type Limits } from './limits.ts'
import { type CommandOptions, checkCommand, checkNames, checkWord, type Names, type UserOption } from './options.ts'
import { LAYER, openLayer } from './reach.ts'
import { userOf } from './request.ts'

/** What a command may have differently from its box. */
export interface PlaceOptions {
  /** Beside the environment of the box. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  readonly user?: UserOption | undefined
}

export interface ExecOptions extends CommandOptions, PlaceOptions {
  readonly limits?: Pick<Limits, 'wallClockMs' | 'cpuTimeMs' | 'outputBytes'> | undefined
}

export const PLACE_NAMES: Names<PlaceOptions> = { env: true, cwd: true, user: true }
const NAMES: Names<ExecOptions> = { ...PLACE_NAMES, stdin: true, signal: true, limits: true }

export function execIn(box: BoxState, command: readonly string[], options: ExecOptions): Promise<Result> {
  return box.during(`run ${command[0] ?? ''} in ${box.id}`, async () => {
    checkCommand(command)
    checkNames(options, NAMES)
    options.signal?.throwIfAborted()
    const limits = exactLimits(options.limits, box.shape.limits)
    const channel = await box.machine.channels.take()
    try {
      return await runCommand({
        machine: box.machine,
        channel,
        frame: frameIn(box, command, { options, channel, deadlineMs: limits.wallClockMs }),
        limits,
        enforced: box.shape.enforced,
        cgroupName: `coffer-${box.id}`,
        look: box.look,
        isDiskFull: () => isLayerFull(box),
        signal: options.signal,
        onStart: (end) => watchCpu({ ...cpuOf(box, limits), onExceeded: () => end('cpu-time') }),
      })
    } finally {
      channel.release()
    }
  })
}

interface Through {
  readonly options: ExecOptions
  readonly channel: Channel
  readonly deadlineMs: number | undefined
}

/** Arguments differ between commands that are planned once; the program, which is looked for, does not. */
function frameIn(box: BoxState, [program = '', ...rest]: readonly string[], { options, channel, deadlineMs }: Through) {
  const { cwd, env, user, stdin } = options
  const { control, stdout, stderr } = channel.paths
  return box.frames({
    key:
      stdin === undefined ? JSON.stringify([box.initPid, program, rest.length, cwd, env, user, deadlineMs]) : undefined,
    words: [control, stdout, stderr, ...rest],
    plan: ([given = '', out = '', err = '', ...args]) =>
      planIn(box, [program, ...args], {
        options,
        stdio: { stdin: bytesOf(stdin), stdout: out, stderr: err },
        watch: { control: given, deadlineMs, accounts: [] },
      }),
  })
}

export const bytesOf = (stdin: string | Uint8Array | undefined): Uint8Array | undefined =>
  typeof stdin === 'string' ? Buffer.from(stdin) : stdin

/** The layer of a box that has ended is gone. */
async function isLayerFull(box: BoxState): Promise<boolean> {
  const { hasLayer, limits } = box.shape
  if (!hasLayer || limits.diskBytes === undefined) return false
  const why = `see how full the layer of ${box.id} is`
  try {
    const report = await box.machine.executor.run({
      operation: why,
      steps: [...openLayer(box), { call: fstatfs(LAYER, FILE_SYSTEM), why, see: ['statfs(2)'] }],
      reads: [FILE_SYSTEM],
    })
    return isFull(report)
  } catch (error) {
    if (error instanceof OperationError) return false
    throw error
  }
}

/** What the box has used before does not count. */
function cpuOf({ machine, look }: BoxState, limits: ExactLimits) {
  const usedMs = (): number | undefined => cpuMsOf(look())
  const beforeMs = limits.cpuTimeMs === undefined ? undefined : usedMs()
  return { usedMs, cpuCount: machine.cpuCount, limits, beforeMs }
}

export interface Inside {
  readonly options: PlaceOptions
  readonly stdio?: Stdio | undefined
  readonly watch: Supervised
  readonly terminal?: { readonly relay: Relay; readonly size: ConsoleSize } | undefined
}

/** The plan of a process in a box. */
export function planIn(box: BoxState, command: readonly string[], inside: Inside): Plan {
  const { host } = box.machine
  const { config } = box.shape
  const { options, terminal, stdio, watch } = inside
  const { cwd = config.process.cwd, env = {}, user } = options
  checkWord('cwd', cwd)
  const process = {
    ...config.process,
    args: command,
    cwd,
    env: [
      ...(terminal === undefined ? [] : ['TERM=xterm']),
      ...config.process.env,
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ],
    user: user === undefined ? config.process.user : userOf(user),
    terminal: terminal !== undefined,
    consoleSize: terminal?.size,
  }
  for (const word of process.env) checkWord('env', word)
  const { paths, unmounted } = box.instance.cgroup
  return planExec(
    {
      id: box.id,
      process,
      linux: config.linux,
      initPid: box.initPid,
      initPidfd: undefined,
      state: { bundle: '/', annotations: {}, ociVersion: config.ociVersion },
      enters: config.linux.namespaces.map(({ type }) => type),
      cgroup: planCgroupJoin({ cgroup: { paths, ...(unmounted === undefined ? {} : { unmounted }) } }),
      wait: true,
      stdio,
      supervised: watch,
      relay: terminal?.relay,
      denials: box.denials,
      listenFds: 0,
      preserveFds: 0,
    },
    host,
  )
}
