/** The door `coffer-runc`: an OCI runtime with the flags, output and exit statuses of runc. */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { nearest } from '../base/nearest.ts'
import { commandFailure, keepFailure, openRunRoot } from '../container/last-failure.ts'
import { openMachine } from '../container/open.ts'
import { COMMANDS } from './commands.ts'
import { type Command, type Context, operand } from './context.ts'
import { commandHelp, programHelp, versionText } from './help.ts'
import { type Log, logTo } from './log.ts'

export const GLOBAL_FLAGS: readonly Flag[] = [
  { name: 'root', type: 'string', value: 'DIR', help: 'where the states of containers are kept' },
  { name: 'log', type: 'string', value: 'FILE', help: 'append messages to this file as well' },
  { name: 'log-format', type: 'string', value: 'text|json', help: 'how messages in the log look' },
  { name: 'debug', type: 'bool', help: 'taken and ignored: explain shows what is done' },
  {
    name: 'systemd-cgroup',
    type: 'bool',
    help: 'make cgroups through systemd',
    refused: 'coffer has no systemd cgroup driver yet; use cgroupfs (in containerd: SystemdCgroup = false)',
  },
  { name: 'cgroup-manager', type: 'string', value: 'cgroupfs', help: 'the cgroup driver, as in crun' },
  {
    name: 'rootless',
    type: 'string',
    value: 'true|false|auto',
    help: 'taken and ignored: coffer sees for itself what it may do',
  },
  { name: 'help', short: 'h', type: 'bool', help: 'this text' },
  { name: 'version', short: 'v', type: 'bool', help: 'print the version' },
]

const PROGRAM = 'coffer-runc'

/** Answers the exit status. */
export function runtimeDoor(native: Native): number {
  const words = native.args.slice(1)
  let log: Log = logTo(native, undefined, 'text')
  let command: Command | undefined
  try {
    const globals = parseFlags(words, GLOBAL_FLAGS, PROGRAM)
    log = logTo(native, globals.string('log'), logFormat(globals.string('log-format')))
    checkCgroupManager(globals.string('cgroup-manager'))
    if (globals.bool('version')) return log.print(versionText())
    const [name, ...rest] = globals.rest
    if (name === undefined || name === 'help' || globals.bool('help'))
      return log.print(programHelp(COMMANDS, GLOBAL_FLAGS))
    command = findCommand(name)
    return runCommand(native, { command, rest, globals, log })
  } catch (error) {
    log.failure(error)
    return command?.failureStatus ?? 1
  }
}

function logFormat(word: string | undefined): 'text' | 'json' {
  if (word === undefined || word === 'text' || word === 'json') return word ?? 'text'
  throw usage(PROGRAM, `--log-format is "${word}"`, 'use text or json')
}

function checkCgroupManager(word: string | undefined): void {
  if (word === undefined || word === 'cgroupfs') return
  const known = word === 'systemd' || word === 'disabled'
  throw new OperationError({
    kind: known ? 'unsupported' : 'invalid',
    operation: `use the cgroup manager ${word}`,
    reason: known ? 'coffer has cgroupfs alone' : 'there is none of that name',
    hint: 'use --cgroup-manager=cgroupfs',
  })
}

function findCommand(name: string): Command {
  const found = COMMANDS.find((one) => one.name === name)
  if (found !== undefined) return found
  const near = nearest(
    name,
    COMMANDS.map((one) => one.name),
  )
  throw usage(PROGRAM, `it has no command ${name}`, near === undefined ? undefined : `did you mean ${near}?`)
}

interface Call {
  readonly command: Command
  readonly rest: readonly string[]
  readonly globals: Parsed
  readonly log: Log
}

function runCommand(native: Native, { command, rest, globals, log }: Call): number {
  const full = `${PROGRAM} ${command.name}`
  const help: Flag = { name: 'help', short: 'h', type: 'bool', help: 'this text' }
  const given = parseFlags(rest, [...command.flags, help], full, { mixed: command.passesArguments !== true })
  if (given.bool('help')) return log.print(commandHelp(PROGRAM, command))
  const [least, most] = command.count
  if (given.rest.length < least || given.rest.length > most)
    throw usage(
      full,
      `it takes ${command.operands === '' ? 'no operands' : command.operands}, and was given ${given.rest.length}`,
    )
  const context = contextOf(native, globals, log)
  try {
    return command.run(context, given)
  } catch (error) {
    if (CHANGING.includes(command.name))
      keep(context, full, { container: operand(given), status: command.failureStatus ?? 1 }, error)
    throw error
  }
}

/** Whose failures are kept. What engines ask of containers that are gone, all the time, is not. */
const CHANGING = ['create', 'start', 'run', 'exec', 'update', 'checkpoint', 'restore']

/** For `coffer why`. */
function keep(
  { machine: { native, root } }: Context,
  command: string,
  failed: { readonly container: string; readonly status: number },
  error: unknown,
): void {
  keepFailure(native, openRunRoot(native, root), commandFailure(native, { command, ...failed }, error))
}

function contextOf(native: Native, globals: Parsed, log: Log): Context {
  const env = new Map<string, string>()
  for (const entry of native.env) {
    const equals = entry.indexOf('=')
    if (equals > 0) env.set(entry.slice(0, equals), entry.slice(equals + 1))
  }
  const { machine, cwd } = openMachine(native, {
    root: globals.string('root'),
    runtimeDirectory: env.get('XDG_RUNTIME_DIR'),
  })
  return { machine, env, cwd, print: (text) => void log.print(text), warn: log.warn }
}
