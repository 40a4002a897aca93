/** Runs a tool in this process, and tells of what went wrong. */

import { describeError, OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, parseFlags } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { poll } from '../executor/embedded-events.ts'
import { writeText } from '../executor/embedded-files.ts'
import { CLOCK_MONOTONIC, clockNanos, exitOf, ownPid } from '../executor/embedded-process.ts'
import { terminalSettings } from '../executor/embedded-terminal.ts'
import { type HereOptions, type RanHere, runHere } from '../executor/run-here.ts'
import { explainText } from '../explain/text.ts'
import { P_PIDFD, WEXITED } from '../linux/process.ts'
import { embeddedFiles } from '../observe/files-embedded.ts'
import { CHILD_EXIT, CHILD_PIDFD, WSTOPPED } from '../plan/attended.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { adviseTool } from './advise.ts'
import { toolHelp } from './help.ts'
import type { Caller, ContainerNames, KeepFailure, Plans, Tool } from './tool.ts'

const STDOUT = 1
const STDERR = 2
const HELP: Flag = { name: 'help', short: 'h', type: 'bool', help: 'this text' }

export interface Beside {
  readonly names: ContainerNames
  readonly keep: KeepFailure
}

/** Answers the exit status; of a tool that becomes a program only if it could not. */
export function runTool(native: Native, tool: Tool, words: readonly string[], { names, keep }: Beside): number {
  try {
    const given = parseTool(tool, words)
    const caller = callerOf(native, names)
    if (given.bool('help')) {
      caller.print(toolHelp(tool))
      return 0
    }
    if (tool.does.kind === 'print') return tool.does.run(given, caller)
    return runPlans(native, tool, tool.does, given, caller)
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    const status = statusOf(error, tool)
    keep(tool.name, status, error)
    return status
  }
}

function runPlans(native: Native, tool: Tool, { plan, again, explain }: Plans, given: Parsed, caller: Caller): number {
  if (tool.flags.some(({ name }) => name === 'explain') && given.bool('explain')) {
    caller.print(explain?.(given, caller) ?? explainText(plan(given, caller), { architecture: native.architecture }))
    return 0
  }
  const status = runToolPlan(native, tool, plan(given, caller))
  for (let next = again?.(given, caller); next !== undefined; next = again?.(given, caller))
    runToolPlan(native, tool, next)
  return status
}

/** Flags may stand behind operands, unless those are the words of a program. */
export const parseTool = ({ name, flags, operands }: Tool, words: readonly string[]): Parsed =>
  parseFlags(
    words,
    [...flags, flags.some(({ short }) => short === 'h') ? { ...HELP, short: '?' } : HELP],
    `coffer ${name}`,
    {
      mixed: !operands.includes('PROGRAM'),
    },
  )

export const callerOf = (native: Native, containerNames: ContainerNames = () => new Map()): Caller => ({
  native,
  files: embeddedFiles(native),
  env: new Map(
    native.env.map((entry) => {
      const equals = entry.indexOf('=')
      return [entry.slice(0, equals), entry.slice(equals + 1)]
    }),
  ),
  print: (text) => writeText(native, STDOUT, text),
  containerNames,
  nanos: () => clockNanos(native, CLOCK_MONOTONIC),
  sleepMs: (ms) => void poll(native, [], ms),
  isTerminal: () => terminalSettings(native, STDOUT) !== undefined,
})

/** Answers the exit status; not of a plan that ends in execve(2). Throws what it could not do. */
export function runToolPlan(native: Native, tool: Tool, plan: Plan, tracing: HereOptions = {}): number {
  const ran = runHere(native, plan, { advise: adviseTool(native, tool, plan), ...tracing })
  return waitsForChild(plan.steps) ? attendChild(native, ran) : 0
}

const waitsForChild = (steps: readonly Step[]): boolean =>
  steps.some(({ into, child }) => child !== undefined && into?.slot === 'child')

/** 127 for a program that is not there and 126 for one that cannot be run, as shells have it. */
export function statusOf(error: unknown, { failureStatus }: Tool): number {
  if (!(error instanceof OperationError) || error.syscall?.startsWith('execve') !== true) return failureStatus
  return error.code === 'ENOENT' ? 127 : 126
}

const CLD_STOPPED = 5
const SIGSTOP = 19
const SIGCONT = 18
const SIG_UNBLOCK = 1
const PR_SET_DUMPABLE = 4

/**
 * Ends as the child ended, by the same signal if it was one, and stops when it stops: the shell that started this process sees what it
 * would see of the child itself.
 */
function attendChild(native: Native, ran: RanHere): number {
  const info = new Int32Array(ran.bytes(CHILD_EXIT).slice().buffer)
  while (info[2] === CLD_STOPPED) {
    attempt(native, 'kill', ownPid(native), SIGSTOP)
    attempt(native, 'pidfd_send_signal', ran.slot(CHILD_PIDFD), SIGCONT, null, 0)
    info.fill(0)
    while (attempt(native, 'waitid', P_PIDFD, ran.slot(CHILD_PIDFD), info, WEXITED | WSTOPPED, null) < 0);
  }
  ran.throwFailure()
  const exit = exitOf(info)
  if (exit.by === 'code') return exit.code
  // Its core is enough.
  attempt(native, 'prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)
  attempt(native, 'rt_sigprocmask', SIG_UNBLOCK, new Uint8Array(8).fill(255), null, 8)
  attempt(native, 'kill', ownPid(native), exit.signal)
  return 128 + exit.signal
}
