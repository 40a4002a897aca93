/** The door `coffer`: the command line for people. */

import { describeError, OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, USAGE, usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { nearest } from '../base/nearest.ts'
import { VERSION } from '../base/version.ts'
import { listEngineContainers, readEngineContainer } from '../engine/containers.ts'
import { EGRESS_COMMAND } from '../engine/egress.ts'
import { serveRelay } from '../engine/egress-policy.ts'
import { afterEnd } from '../engine/ended.ts'
import { checkHealth, HEALTH_COMMAND } from '../engine/health.ts'
import { ENDED_COMMAND } from '../engine/start.ts'
import { writeText } from '../executor/embedded-files.ts'
import { labDoor } from '../lab/door.ts'
import { toolsDoor } from '../tools/door.ts'
import { columns, groupHelp, toolHelp, wordsHelp } from '../tools/help.ts'
import type { Words } from '../tools/tool.ts'
import { findTool, GROUPS, TOOLS } from '../tools/tools.ts'
import { BOX_COMMAND, boxCommand } from './box.ts'
import { FAILED } from './command.ts'
import { ALL_WORDS, COMMAND_GROUPS, COMMANDS, containerIn, withoutGroup } from './commands.ts'
import { completionScript } from './completion.ts'
import { refusalOf } from './elsewhere.ts'
import { keepCommandFailure, keptBy } from './failure.ts'
import { refuseOtherMachine, withoutGlobalFlags } from './global-flags.ts'
import { type CommandGroup, commandIn, runGroup } from './group.ts'
import { openEngine, openSession } from './open.ts'
import { startStatus } from './start-failure.ts'

const STDOUT = 1
const STDERR = 2
/** docker's status for a failure of its own, which no program of a container had a part in. */
const FAILURE = 125

const helpText = (): string => `coffer - containers for Linux

usage: coffer COMMAND [FLAGS] [OPERANDS]

commands:
${columns(COMMANDS.map(({ name, summary }) => [name, summary])).join('\n')}

groups, with docker's names:
${columns(COMMAND_GROUPS.map(({ name, summary }) => [name, summary])).join('\n')}

tools, with the flags of util-linux and iproute2:
${columns([...TOOLS, ...GROUPS].map(({ name, summary }) => [name, summary])).join('\n')}

coffer help COMMAND has the flags. The OCI runtime is the same program under the name coffer-runc.
`

/** What the monitor becomes behind a container: nobody hears what it says. */
function endedCommand(native: Native, [dataRoot = '', root = '', id = '']: readonly string[]): number {
  afterEnd(openEngine(native, dataRoot, root), id, () => undefined)
  return 0
}

/** What the monitor starts when a check is due: it hears how long to wait for the next one, or waits as long again. */
function healthCommand(native: Native, [dataRoot = '', root = '', id = '']: readonly string[]): number {
  try {
    const delay = checkHealth(openEngine(native, dataRoot, root), id)
    if (delay !== undefined) writeText(native, STDOUT, `${delay}`)
    return 0
  } catch (error) {
    // The container was removed meanwhile, or the disk is full.
    if (error instanceof OperationError) return FAILURE
    throw error
  }
}

/** What a plan starts beside a container with a list of hosts; plan/network-egress.ts. */
function egressCommand(native: Native, [dataRoot = '', root = '', id = '', relay = '']: readonly string[]): number {
  const engine = openEngine(native, dataRoot, root)
  const record = readEngineContainer(engine, id)?.record
  if (record?.network.kind === 'egress') serveRelay(engine, record, record.network.hosts, Number(relay))
  return 0
}

/** None where the caller may not look: a tool needs no engine. */
function containerNames(native: Native): ReadonlyMap<string, string> {
  try {
    return new Map(listEngineContainers(openSession(native).engine).map(({ record }) => [record.id, record.name]))
  } catch (error) {
    if (error instanceof OperationError) return new Map()
    throw error
  }
}

/** Answers the exit status. */
export function cliDoor(called: Native): number {
  try {
    return runCommand(withoutGlobalFlags(called))
  } catch (error) {
    writeText(called, STDERR, `error: ${describeError(error)}\n`)
    return FAILURE
  }
}

function runCommand(native: Native): number {
  const [name, ...rest] = withoutGroup(native.args.slice(1))
  try {
    return runWords(native, name, rest)
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    const status = statusOf(name, error)
    if (name !== 'why')
      keepCommandFailure(native, { command: `coffer ${name ?? ''}`, status, container: containerIn(name, rest) }, error)
    return status
  }
}

/** A command line that cannot be understood is the same for all. */
function statusOf(name: string | undefined, error: unknown): number {
  if (error instanceof OperationError && error.operation.startsWith(USAGE)) return FAILURE
  const ofCommand = COMMANDS.find((one) => one.name === name)?.failureStatus
  return startStatus(error) ?? ofCommand ?? (groupNamed(name) === undefined ? FAILURE : FAILED)
}

function runWords(native: Native, name: string | undefined, rest: readonly string[]): number {
  const print = (text: string): number => {
    writeText(native, STDOUT, text)
    return 0
  }
  const command = COMMANDS.find((one) => one.name === name)
  if (command !== undefined && wantsHelp(command, rest)) return print(wordsHelp(command))
  const group = groupNamed(name)
  const asked = group === undefined ? undefined : helpOfGroup(group, rest)
  if (asked !== undefined) return print(asked)
  if (command?.run !== undefined || group !== undefined) refuseOtherMachine(native)
  switch (name) {
    case undefined:
      return print(helpText())
    case 'help':
    case '--help':
    case '-h':
      return print(rest.length === 0 ? helpText() : helpOf(rest))
    case '--version':
    case '-v':
      return print(`coffer version ${VERSION}\n`)
    case 'completion':
      return print(completionScript(rest, ALL_WORDS))
    case 'lab':
      return labDoor(openSession(native).engine, rest)
    case ENDED_COMMAND:
      return endedCommand(native, rest)
    case EGRESS_COMMAND:
      return egressCommand(native, rest)
    case HEALTH_COMMAND:
      return healthCommand(native, rest)
    case BOX_COMMAND:
      return boxCommand(openSession(native), rest)
    default:
      if (group !== undefined) return runGroup(group, openSession(native), rest)
      return command?.run === undefined ? runTools(native, name, rest) : command.run(openSession(native), rest)
  }
}

function runTools(native: Native, name: string, rest: readonly string[]): number {
  const status = toolsDoor(native, [name, ...rest], () => containerNames(native), keptBy(native))
  if (status !== undefined) return status
  throw refusalOf(name) ?? noCommand(name)
}

function noCommand(name: string): OperationError {
  const near = nearest(
    name,
    [...COMMANDS, ...COMMAND_GROUPS, ...TOOLS, ...GROUPS].map((one) => one.name),
  )
  return usage('coffer', `it has no command ${name}`, near === undefined ? 'coffer --help' : `did you mean ${near}?`)
}

/** Of `coffer help netns add`, and of `coffer help netns`. */
function helpOf(words: readonly string[]): string {
  const [name, ...rest] = withoutGroup(words)
  const command = COMMANDS.find((one) => one.name === name)
  if (command !== undefined) return wordsHelp(command)
  const asked = groupNamed(name)
  const ofGroup = asked === undefined ? undefined : helpOfGroup(asked, rest.length === 0 ? [] : [...rest, '--help'])
  if (ofGroup !== undefined) return ofGroup
  const group = GROUPS.find(({ name }) => name === words[0])
  if (group !== undefined && words.length === 1) return groupHelp(group, group.tools)
  const found = findTool(words)
  if (found === undefined) throw noCommand(words.join(' '))
  return 'group' in found ? groupHelp(found.group, found.group.tools) : toolHelp(found.tool)
}

const groupNamed = (name: string | undefined): CommandGroup | undefined =>
  COMMAND_GROUPS.find((group) => group.name === name)

/** Without a word it says which it takes; undefined if no help is asked for. */
function helpOfGroup(group: CommandGroup, [word, ...rest]: readonly string[]): string | undefined {
  if (word === undefined || word === '--help' || word === '-h') return groupHelp(group, group.commands)
  const command = commandIn(group, word)
  return command !== undefined && wantsHelp(command, rest) ? wordsHelp(command) : undefined
}

/** Among the flags of the command itself: those behind its operands are of the program in the container. */
function wantsHelp({ name, flags, operands }: Words, words: readonly string[]): boolean {
  if (!words.includes('--help') && !words.includes('-h')) return false
  const short = flags.some((flag) => flag.short === 'h') ? {} : { short: 'h' }
  const help: Flag = { name: 'help', ...short, type: 'bool', help: '' }
  const mixed = !/PROGRAM|COMMAND/.test(operands)
  return parseFlags(words, [...flags, help], `coffer ${name}`, { mixed }).bool('help')
}
