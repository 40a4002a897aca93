/** The last rung: `run` where neither root nor a user namespace is to be had, if the caller accepts it. docs/decisions/0021 */

import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { OperationError } from '../base/errors.ts'
import { assemble } from '../executor/assemble.ts'
import { encode } from '../executor/persistent-node.ts'
import type { Advise } from '../executor/report.ts'
import { statusField } from '../observe/process.ts'
import type { Rlimit } from '../oci/process.ts'
import { type FileRule, planLandlocked } from '../plan/landlocked.ts'
import type { Plan } from '../plan/plan.ts'
import { landlockedProfile } from '../seccomp/landlocked.ts'
import type { Channel } from './channel-node.ts'
import { type Result, runCommand } from './command-node.ts'
import { bytesOf } from './exec-node.ts'
import { askKernel, type Kernel } from './kernel-node.ts'
import { acceptedOf, type Confinement, confinementOf, missingForLandlock } from './landlock-features.ts'
import { type Listed, rulesFor } from './landlock-rules.ts'
import { type ExactLimits, exactLimits } from './limits.ts'
import type { Machine } from './machine-node.ts'
import { type Acceptable, type BoxOptions, checkNetwork, type Mount, type RunOptions } from './options.ts'
import { removeTree } from './remove-tree-node.ts'
import { environmentOf } from './request.ts'
import { secretPaths } from './secrets.ts'

export interface Landlocked extends Confinement {
  readonly options: RunOptions
  readonly limits: ExactLimits
  readonly accepted: ReadonlySet<Acceptable>
  readonly kernel: Kernel
}

/**
 * Undefined where the command gets a container: there are namespaces, or nobody accepted to do without. Throws `unsupported` for what this rung
 * has not got.
 */
export function landlockedFor(machine: Machine, options: RunOptions): Landlocked | undefined {
  const accepted = acceptedOf(options.accept)
  if (accepted === undefined || !machine.host.isRootless) return undefined
  const kernel = askKernel(machine)
  if (kernel.makesNamespaces) return undefined
  const reason = missingForLandlock(kernel)
  if (reason !== undefined)
    throw new OperationError({ kind: 'unsupported', operation: 'run a command under Landlock', reason })
  checkNetwork(options.network ?? 'none')
  const limits = exactLimits(options.limits)
  return { options, limits, accepted, kernel, ...confinementOf({ options, limits, accepted, kernel }) }
}

/** Throws `unsupported` where `accept` would take effect: a box is its namespaces. */
export function refuseLandlock(machine: Machine, options: BoxOptions): void {
  if (acceptedOf(options.accept) === undefined || !machine.host.isRootless || askKernel(machine).makesNamespaces) return
  throw new OperationError({
    kind: 'unsupported',
    operation: 'make a box under Landlock',
    reason: 'a box is namespaces that stay, and this caller may make none',
    hint: 'run() runs single commands under Landlock; probe() tells how to get namespaces',
  })
}

/** For a caller without privilege that did not know of this rung. Errnos as kernel-node.ts has them. */
export const adviseLandlock: Advise = ({ call }, errno) =>
  call.name === 'clone3' && (errno === 'EPERM' || errno === 'ENOSPC')
    ? { hint: "probe() tells how to get user namespaces; accept: 'landlock' does without, and less well" }
    : undefined

export interface LandlockedRun {
  readonly machine: Machine
  readonly channel: Channel
  readonly command: readonly string[]
  readonly landlocked: Landlocked
}

export async function runLandlocked(start: LandlockedRun): Promise<Result> {
  const { machine, channel, landlocked } = start
  const id = machine.nextId()
  const scratch = scratchOf(machine, id)
  mkdirSync(scratch, { recursive: true, mode: 0o700 })
  try {
    const plan = planLandlockedRun(start, id)
    const assembled = assemble(plan, { architecture: machine.host.architecture, encode })
    const result = await runCommand({
      machine,
      channel,
      frame: { ...assembled, steps: () => assembled.steps },
      limits: landlocked.limits,
      enforced: landlocked.enforced,
      cgroupName: id,
      isDiskFull: async () => false,
      signal: landlocked.options.signal,
      onStart: () => () => undefined,
    })
    return { ...result, shortfalls: landlocked.shortfalls }
  } finally {
    removeTree(scratch)
  }
}

const scratchesOf = ({ directory }: Pick<Machine, 'directory'>): string => `${directory}.tmp`
const scratchOf = (machine: Machine, id: string): string => join(scratchesOf(machine), id)

let isForgotten = false

function forgetAtEnd(machine: Machine): void {
  if (isForgotten) return
  isForgotten = true
  process.once('exit', () => removeTree(scratchesOf(machine)))
}

/** The plan for a command, which needs the directory of its scratch only when it runs. */
export function planLandlockedRun(start: LandlockedRun, id: string): Plan {
  const { machine, channel, command, landlocked } = start
  const { options, limits, accepted, kernel } = landlocked
  // A list of hosts is refused: landlock-features.ts.
  const network = options.network === 'host' ? 'host' : 'none'
  const { host } = machine
  const { stdin, cwd = process.cwd(), env = {} } = options
  const { control, stdout, stderr } = channel.paths
  const scratch = scratchOf(machine, id)
  forgetAtEnd(machine)
  return planLandlocked(
    {
      id,
      args: command,
      env: environmentOf({ root: 'host', env: { TMPDIR: scratch, ...env } }, { home: homedir() }),
      cwd,
      stdio: { stdin: bytesOf(stdin), stdout, stderr },
      supervised: { control, deadlineMs: limits.wallClockMs },
      rlimits: rlimitsOf(limits, host.hostUid),
      seccomp: landlockedProfile({
        capabilities: [],
        nativeArchitecture: host.architecture === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64',
        kernel: host.kernel,
        network,
        changesAttributes: accepted.has('attributes'),
      }),
      abi: kernel.landlockAbi,
      network,
      rules: rulesOf(machine, options, [
        { path: scratch, isDirectory: true, access: 'write', isNeeded: true },
        // A program may open /dev/stdout.
        ...[stdout, stderr].map((path): FileRule => ({ path, isDirectory: false, access: 'data', isNeeded: true })),
      ]),
    },
    host,
  )
}

function rulesOf({ homes }: Machine, { mounts = [], grant = [] }: RunOptions, own: readonly FileRule[]) {
  const view = { hidden: secretPaths(homes, grant), list: listDirectory }
  const found = mounts.map(({ source, target = source, writable }) => ({
    source,
    target,
    writable,
    real: realOf(source),
  }))
  // Neither by the name that was given nor by that behind links.
  const checked: readonly Mount[] = [...found, ...found.map(({ real }) => ({ source: real }))]
  return rulesFor(view, checked, [
    ...own,
    ...found.map(
      ({ real, writable }): FileRule => ({
        path: real,
        isDirectory: statSync(real, { throwIfNoEntry: false })?.isDirectory() ?? false,
        access: writable === true ? 'write' : 'read',
        isNeeded: true,
      }),
    ),
  ])
}

/** One that is not there is left to the plan, which says so. */
function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function listDirectory(directory: string): readonly Listed[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      kind: entry.isDirectory() ? 'directory' : entry.isFile() ? 'file' : 'other',
    }))
  } catch {
    // What the caller cannot list, the command cannot read.
    return []
  }
}

/** Of each process, but the number of processes: that is one of all processes of the user. setrlimit(2) */
function rlimitsOf({ memory, pids, cpuTimeMs, diskBytes, openFiles }: ExactLimits, uid: number): readonly Rlimit[] {
  const rows = [
    ['RLIMIT_CORE', 0],
    ['RLIMIT_MSGQUEUE', 0],
    ['RLIMIT_DATA', memory],
    ['RLIMIT_NPROC', pids === undefined ? undefined : pids + tasksOf(uid)],
    ['RLIMIT_CPU', cpuTimeMs === undefined ? undefined : Math.ceil(cpuTimeMs / 1000)],
    ['RLIMIT_FSIZE', diskBytes],
    ['RLIMIT_NOFILE', openFiles],
  ] as const
  return rows.flatMap(([type, limit]) =>
    // Beyond the first limit of CPU time comes SIGXCPU, which a verdict knows; beyond the second SIGKILL.
    limit === undefined ? [] : [{ type, soft: limit, hard: type === 'RLIMIT_CPU' ? limit + 1 : limit }],
  )
}

/** Processes and threads of a user now. */
function tasksOf(uid: number): number {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .reduce((sum, pid) => sum + threadsOf(pid, uid), 0)
}

function threadsOf(pid: string, uid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const [real = ''] = (statusField(status, 'Uid') ?? '').trim().split(/\s+/)
    return Number(real) === uid ? Number(statusField(status, 'Threads') ?? 0) : 0
  } catch {
    // It has ended.
    return 0
  }
}
