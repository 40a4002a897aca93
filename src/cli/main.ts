/** The door `coffer`: the command line for people. */

import { describeError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { nearest } from '../base/nearest.ts'
import { VERSION } from '../base/version.ts'
import { openMachine } from '../container/open.ts'
import { listEngineContainers } from '../engine/containers.ts'
import { afterEnd } from '../engine/ended.ts'
import { ENDED_COMMAND } from '../engine/start.ts'
import { writeText } from '../executor/embedded-files.ts'
import { labDoor } from '../lab/door.ts'
import { toolsDoor } from '../tools/door.ts'
import { GROUPS, TOOLS } from '../tools/tools.ts'
import { attachTo, type Command, exec, kill, logs, ps, rm, start, stop, wait } from './containers.ts'
import { explainCommand } from './explain.ts'
import { history, imageGroup, images, rmi, tag } from './images.ts'
import { network } from './networks.ts'
import { openSession } from './open.ts'
import { runCommand } from './run.ts'
import { TRANSFER_COMMANDS, transfer } from './transfer.ts'

const STDOUT = 1
const STDERR = 2
/** docker's status for a failure of its own, which no program of a container had a part in. */
const FAILURE = 125

const HELP = `coffer - containers for Linux

usage: coffer COMMAND [FLAGS] [OPERANDS]

commands:
  run      run a program in a container: coffer run --rm -it host bash
  explain  show what a command does, step by step, before or while it does it
  lab      learn namespaces and cgroups by hand: coffer lab lists the labs
  version  print the version

tools, with the flags of util-linux and iproute2:
${[...TOOLS, ...GROUPS].map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`).join('\n')}

The OCI runtime is the same program under the name coffer-runc.
`

const COMMANDS: ReadonlyMap<string, Command> = new Map(
  Object.entries({
    run: runCommand,
    explain: explainCommand,
    ps,
    logs,
    wait,
    stop,
    kill,
    start,
    rm,
    attach: attachTo,
    exec,
    image: imageGroup,
    images,
    tag,
    rmi,
    history,
    network,
  }),
)

/** What the monitor becomes behind a container: nobody hears what it says. */
function endedCommand(native: Native, [dataRoot = '', root = '', id = '']: readonly string[]): number {
  const { machine } = openMachine(native, { root })
  const program = machine.files.readLink('/proc/self/exe') ?? ''
  afterEnd({ machine, dataRoot, program }, id, () => undefined)
  return 0
}

const containerNames = (native: Native): ReadonlyMap<string, string> =>
  new Map(listEngineContainers(openSession(native).engine).map(({ record }) => [record.id, record.name]))

/** Answers the exit status. */
export function cliDoor(native: Native): number {
  try {
    const [command, ...rest] = native.args.slice(1)
    switch (command) {
      case undefined:
      case 'help':
      case '--help':
      case '-h':
        writeText(native, STDOUT, HELP)
        return command === undefined ? FAILURE : 0
      case 'version':
      case '--version':
      case '-v':
        writeText(native, STDOUT, `coffer version ${VERSION}\n`)
        return 0
      case ENDED_COMMAND:
        return endedCommand(native, rest)
      case 'lab':
        return labDoor(openSession(native).engine, rest)
      default: {
        if (TRANSFER_COMMANDS.includes(command)) return transfer(openSession(native), command, rest)
        const run = COMMANDS.get(command)
        if (run !== undefined) return run(openSession(native), rest)
        const status = toolsDoor(native, native.args.slice(1), () => containerNames(native))
        if (status !== undefined) return status
        const near = nearest(command, [
          ...COMMANDS.keys(),
          ...TRANSFER_COMMANDS,
          'lab',
          'version',
          'help',
          ...[...TOOLS, ...GROUPS].map(({ name }) => name),
        ])
        throw usage(
          'coffer',
          `it has no command ${command}`,
          near === undefined ? 'coffer --help' : `did you mean ${near}?`,
        )
      }
    }
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    return FAILURE
  }
}
