/** The commands of `coffer` beside the tools: what each is called, takes and does. Help and completion are made of these records too. */

import { IMPORT_FLAGS, LOAD_FLAGS, PULL_FLAGS, PUSH_FLAGS, SAVE_FLAGS } from '../image/transfer-flags.ts'
import type { Words } from '../tools/tool.ts'
import { GROUPS, TOOLS } from '../tools/tools.ts'
import {
  attachTo,
  type Command,
  EXEC,
  exec,
  KILL,
  kill,
  logs,
  PS,
  ps,
  RM,
  rm,
  STOP,
  start,
  stop,
  wait,
} from './containers.ts'
import { EXPLAIN_DETAILS, EXPLAIN_FLAGS, explainCommand } from './explain.ts'
import { HISTORY, history, IMAGE_COMMANDS, IMAGES, imageGroup, images, RMI, rmi, tag } from './images.ts'
import { network } from './networks.ts'
import { runCommand } from './run.ts'
import { RUN_FLAGS } from './run-flags.ts'
import { WHY_FLAGS, whyCommand } from './why.ts'

export interface CliCommand extends Words {
  /** Undefined for those that main.ts or another program does. */
  readonly run?: Command
}

export const COMMANDS: readonly CliCommand[] = [
  {
    name: 'run',
    operands: 'IMAGE [PROGRAM [ARGUMENT...]]',
    summary: 'run a program in a container',
    flags: RUN_FLAGS,
    details: 'The image "host" is a copy-on-write view of this machine: coffer run --rm -it host bash',
    run: runCommand,
  },
  { name: 'ps', operands: '', summary: 'list containers', flags: PS, run: ps },
  {
    name: 'exec',
    operands: 'CONTAINER PROGRAM [ARGUMENT...]',
    summary: 'run a program in a container that runs',
    flags: EXEC,
    run: exec,
  },
  { name: 'attach', operands: 'CONTAINER', summary: 'see what it prints, and type into it', flags: [], run: attachTo },
  { name: 'logs', operands: 'CONTAINER...', summary: 'show what it has printed', flags: [], run: logs },
  { name: 'start', operands: 'CONTAINER...', summary: 'start one that has ended', flags: [], run: start },
  { name: 'stop', operands: 'CONTAINER...', summary: 'ask it to end, and kill it in the end', flags: STOP, run: stop },
  { name: 'kill', operands: 'CONTAINER...', summary: 'send its first process a signal', flags: KILL, run: kill },
  {
    name: 'wait',
    operands: 'CONTAINER...',
    summary: 'wait until it has ended; print its status',
    flags: [],
    run: wait,
  },
  { name: 'rm', operands: 'CONTAINER...', summary: 'remove it, and all it has written', flags: RM, run: rm },
  {
    name: 'why',
    operands: '[CONTAINER]',
    summary: 'explain how a container ended, or what failed last',
    flags: WHY_FLAGS,
    run: whyCommand,
  },
  { name: 'images', operands: '[NAME]', summary: 'list images', flags: IMAGES, run: images },
  { name: 'pull', operands: 'NAME', summary: 'get an image from a registry', flags: PULL_FLAGS },
  { name: 'push', operands: 'NAME', summary: 'give an image to a registry', flags: PUSH_FLAGS },
  { name: 'save', operands: 'IMAGE...', summary: 'write images into an archive', flags: SAVE_FLAGS },
  { name: 'tag', operands: 'IMAGE NAME', summary: 'give an image another name', flags: [], run: tag },
  { name: 'rmi', operands: 'IMAGE...', summary: 'take names away from images, and remove them', flags: RMI, run: rmi },
  { name: 'history', operands: 'IMAGE', summary: 'show what an image was made of', flags: HISTORY, run: history },
  {
    name: 'image',
    operands: IMAGE_COMMANDS.join('|'),
    summary: 'the commands on images, by the names of docker',
    flags: [],
    run: imageGroup,
  },
  {
    name: 'network',
    operands: 'create|ls|inspect|rm|prune',
    summary: 'networks of containers',
    flags: [],
    run: network,
  },
  { name: 'import', operands: 'FILE [NAME]', summary: 'make an image of an archive of files', flags: IMPORT_FLAGS },
  { name: 'load', operands: '', summary: 'take over images of docker save', flags: LOAD_FLAGS },
  {
    name: 'explain',
    operands: 'COMMAND...',
    summary: 'show each system call of a command, why it is made, and where that is documented',
    flags: EXPLAIN_FLAGS,
    details: EXPLAIN_DETAILS,
    run: explainCommand,
  },
  {
    name: 'lab',
    operands: '[COMMAND]',
    summary: 'learn namespaces and cgroups by hand; without a word it lists the labs',
    flags: [],
  },
  { name: 'completion', operands: 'bash|zsh|fish', summary: 'print what makes a shell complete coffer', flags: [] },
  { name: 'help', operands: '[COMMAND]', summary: 'show what a command takes', flags: [] },
  { name: 'version', operands: '', summary: 'print the version', flags: [] },
]

/** Of the commands and of the tools, those of groups with both words. */
export const ALL_WORDS: readonly Words[] = [...COMMANDS, ...TOOLS, ...GROUPS.flatMap(({ tools }) => tools)]
