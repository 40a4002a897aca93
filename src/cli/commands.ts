/** The commands of `coffer` beside the tools: what each is called, takes and does. Help and completion are made of these records too. */

import { own } from '../base/own.ts'
import { IMPORT_FLAGS, LOAD_FLAGS, LOGIN_FLAGS, PULL_FLAGS, PUSH_FLAGS, SAVE_FLAGS } from '../image/transfer-flags.ts'
import type { Words } from '../tools/tool.ts'
import { GROUPS, TOOLS } from '../tools/tools.ts'
import { ATTACH, attachTo, START, start } from './attach.ts'
import { update } from './change.ts'
import { type Command, FAILED } from './command.ts'
import { COMMIT, commit } from './commit.ts'
import { CP, cp } from './copy.ts'
import { diff } from './diff.ts'
import { DOCTOR_FLAGS, doctor } from './doctor.ts'
import { EVENTS, events } from './events.ts'
import { exec } from './exec.ts'
import { EXPLAIN_DETAILS, EXPLAIN_FLAGS, explainCommand } from './explain.ts'
import { EXPORT, exportCommand } from './export.ts'
import { ALIASES, type CommandGroup, type GroupCommand } from './group.ts'
import { HISTORY, history, IMAGES, images, OF_IMAGES, RMI, rmi, tag } from './images.ts'
import { INFO, info, VERSION_FLAGS, version } from './info.ts'
import { INSPECT_FLAGS, inspect } from './inspect.ts'
import { LOGS_FLAGS, logs } from './logs.ts'
import { NETWORK } from './networks.ts'
import { port } from './port.ts'
import { CONTAINER_PRUNE } from './prune.ts'
import { PS_FLAGS, ps } from './ps.ts'
import { createCommand, runCommand } from './run.ts'
import { CREATE_FLAGS, EXEC_FLAGS, RUN_FLAGS, UPDATE_FLAGS } from './run-flags.ts'
import { STATS_FLAGS, stats } from './stats.ts'
import { KILL, kill, pause, RM, rename, restart, rm, stop, TIMES, unpause, wait } from './stop.ts'
import { SYSTEM } from './system.ts'
import { top } from './top.ts'
import { transfer } from './transfer.ts'
import { VOLUME } from './volume.ts'
import { WHY_FLAGS, whyCommand } from './why.ts'

export interface CliCommand extends Words {
  /** Undefined for those that main.ts does. */
  readonly run?: Command
  /** The exit status of what it could not do; docker's 125 if undefined. */
  readonly failureStatus?: number
}

const CONTAINER_COMMANDS: readonly CliCommand[] = [
  {
    name: 'ps',
    operands: '',
    summary: 'list containers',
    flags: PS_FLAGS,
    run: ps,
  },
  {
    name: 'inspect',
    operands: 'CONTAINER...',
    summary: 'show all that is known of it, as JSON; also of images and volumes',
    flags: INSPECT_FLAGS,
    run: inspect,
  },
  {
    name: 'attach',
    operands: 'CONTAINER',
    summary: 'see what it prints, and type into it',
    flags: ATTACH,
    run: attachTo,
  },
  { name: 'logs', operands: 'CONTAINER', summary: 'show what it has printed', flags: LOGS_FLAGS, run: logs },
  { name: 'start', operands: 'CONTAINER...', summary: 'start one that has ended', flags: START, run: start },
  { name: 'stop', operands: 'CONTAINER...', summary: 'ask it to end, and kill it in the end', flags: TIMES, run: stop },
  { name: 'restart', operands: 'CONTAINER...', summary: 'stop it and start it again', flags: TIMES, run: restart },
  { name: 'kill', operands: 'CONTAINER...', summary: 'send its first process a signal', flags: KILL, run: kill },
  { name: 'pause', operands: 'CONTAINER...', summary: 'freeze its processes', flags: [], run: pause },
  { name: 'unpause', operands: 'CONTAINER...', summary: 'have them run on', flags: [], run: unpause },
  {
    name: 'wait',
    operands: 'CONTAINER...',
    summary: 'wait until it has ended; print its status',
    flags: [],
    run: wait,
  },
  { name: 'rm', operands: 'CONTAINER...', summary: 'remove it, and all it has written', flags: RM, run: rm },
  {
    name: 'port',
    operands: 'CONTAINER [PORT[/PROTOCOL]]',
    summary: 'show where this machine has its ports',
    flags: [],
    run: port,
  },
  { name: 'rename', operands: 'CONTAINER NAME', summary: 'give it another name', flags: [], run: rename },
  {
    name: 'update',
    operands: 'CONTAINER...',
    summary: 'change its limits, now and for later starts',
    flags: UPDATE_FLAGS,
    run: update,
  },
  { name: 'stats', operands: '[CONTAINER...]', summary: 'show what containers use', flags: STATS_FLAGS, run: stats },
  { name: 'top', operands: 'CONTAINER', summary: 'list its processes', flags: [], run: top },
  {
    name: 'cp',
    operands: 'CONTAINER:PATH PATH|- or PATH|- CONTAINER:PATH',
    summary: 'copy files into a container, or out of it',
    flags: CP,
    run: cp,
  },
  {
    name: 'commit',
    operands: 'CONTAINER [NAME]',
    summary: 'make an image of what it has written',
    flags: COMMIT,
    run: commit,
  },
  {
    name: 'export',
    operands: 'CONTAINER',
    summary: 'write all its files into an archive',
    flags: EXPORT,
    run: exportCommand,
  },
  { name: 'diff', operands: 'CONTAINER', summary: 'list what it has changed of its image', flags: [], run: diff },
].map((one) => ({ ...one, failureStatus: FAILED }))

/** Done by a program in Node. */
const moving = (words: Words): CliCommand => ({
  ...words,
  failureStatus: FAILED,
  run: (session, rest) => transfer(session, words.name, rest),
})

export const COMMANDS: readonly CliCommand[] = [
  {
    name: 'run',
    operands: 'IMAGE [PROGRAM [ARGUMENT...]]',
    summary: 'run a program in a container',
    flags: RUN_FLAGS,
    details: 'The image "host" is a copy-on-write view of this machine: coffer run --rm -it host bash',
    run: runCommand,
  },
  {
    name: 'create',
    operands: 'IMAGE [PROGRAM [ARGUMENT...]]',
    summary: 'make a container, for a later start',
    flags: CREATE_FLAGS,
    run: createCommand,
    failureStatus: FAILED,
  },
  {
    name: 'exec',
    operands: 'CONTAINER PROGRAM [ARGUMENT...]',
    summary: 'run a program in a container that runs',
    flags: EXEC_FLAGS,
    run: exec,
    failureStatus: FAILED,
  },
  ...CONTAINER_COMMANDS,
  {
    name: 'why',
    operands: '[CONTAINER]',
    summary: 'explain how a container ended, or what failed last',
    flags: WHY_FLAGS,
    run: whyCommand,
  },
  {
    name: 'doctor',
    operands: '',
    summary: 'tell what this machine has for containers, and how to mend what it lacks',
    flags: DOCTOR_FLAGS,
    run: doctor,
  },
  { name: 'events', operands: '', summary: 'tell what happens', flags: EVENTS, run: events, failureStatus: FAILED },
  { name: 'images', operands: '[NAME]', summary: 'list images', flags: IMAGES, run: images, failureStatus: FAILED },
  moving({ name: 'pull', operands: 'NAME', summary: 'get an image from a registry', flags: PULL_FLAGS }),
  moving({ name: 'push', operands: 'NAME', summary: 'give an image to a registry', flags: PUSH_FLAGS }),
  moving({ name: 'save', operands: 'IMAGE...', summary: 'write images into an archive', flags: SAVE_FLAGS }),
  {
    name: 'tag',
    operands: 'IMAGE NAME',
    summary: 'give an image another name',
    flags: [],
    run: tag,
    failureStatus: FAILED,
  },
  {
    name: 'rmi',
    operands: 'IMAGE...',
    summary: 'take names away from images, and remove them',
    flags: RMI,
    run: rmi,
    failureStatus: FAILED,
  },
  {
    name: 'history',
    operands: 'IMAGE',
    summary: 'show what an image was made of',
    flags: HISTORY,
    run: history,
    failureStatus: FAILED,
  },
  { name: 'info', operands: '', summary: 'tell of the machine and of what coffer has there', flags: INFO, run: info },
  moving({ name: 'login', operands: '[REGISTRY]', summary: 'keep an account of a registry', flags: LOGIN_FLAGS }),
  moving({ name: 'logout', operands: '[REGISTRY]', summary: 'forget it', flags: [] }),
  moving({
    name: 'import',
    operands: 'FILE [NAME]',
    summary: 'make an image of an archive of files',
    flags: IMPORT_FLAGS,
  }),
  moving({ name: 'load', operands: '', summary: 'take over images of docker save', flags: LOAD_FLAGS }),
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
  { name: 'version', operands: '', summary: 'print the version', flags: VERSION_FLAGS, run: version },
]

/** Those of a group that are known without its word too. */
const under = (group: string, names: Readonly<Record<string, string>>): readonly GroupCommand[] =>
  Object.entries(names).flatMap(([second, plain]) =>
    COMMANDS.flatMap(({ run, ...words }) =>
      words.name === plain && run !== undefined ? [{ ...words, name: `${group} ${second}`, run }] : [],
    ),
  )

const same = (names: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, name]))

const OF_CONTAINERS: readonly string[] = ['run', 'create', 'exec', ...CONTAINER_COMMANDS.map(({ name }) => name)]

const CONTAINER: CommandGroup = {
  name: 'container',
  summary: 'the commands on containers, by the names of docker',
  aliases: { ...ALIASES, ps: 'ls' },
  commands: [
    ...under('container', { ls: 'ps', ...same(OF_CONTAINERS.filter((name) => name !== 'ps')) }),
    CONTAINER_PRUNE,
  ],
}

const IMAGE: CommandGroup = {
  name: 'image',
  summary: 'the commands on images, by the names of docker',
  aliases: ALIASES,
  commands: [
    ...under('image', { ls: 'images', rm: 'rmi' }),
    ...under('image', same(['history', 'import', 'load', 'pull', 'push', 'save', 'tag'])),
    ...OF_IMAGES,
  ],
}

export const COMMAND_GROUPS: readonly CommandGroup[] = [CONTAINER, IMAGE, NETWORK, VOLUME, SYSTEM]

/** `container ls --all` → `ps --all`; other words stay as they are. */
export function withoutGroup(words: readonly string[]): readonly string[] {
  const [group, name = '', ...rest] = words
  if (group !== CONTAINER.name) return words
  const word = own(CONTAINER.aliases, name) ?? name
  const plain = word === 'ls' ? 'ps' : word
  return OF_CONTAINERS.includes(plain) ? [plain, ...rest] : words
}

/** The word itself, if a command takes nothing but containers and has no flag before it. */
export function containerIn(command: string | undefined, [word = '']: readonly string[]): string | undefined {
  const operands = COMMANDS.find(({ name }) => name === command)?.operands ?? ''
  return operands.startsWith('CONTAINER') && /^\w[\w.-]*$/.test(word) ? word : undefined
}

/** Of the commands and of the tools, those of groups with both words. */
export const ALL_WORDS: readonly Words[] = [
  ...COMMANDS,
  ...TOOLS,
  ...GROUPS.flatMap(({ tools }) => tools),
  ...COMMAND_GROUPS.flatMap(({ commands }) => commands),
]

/** Each once. */
export const PAGES: readonly Words[] = [
  ...COMMANDS,
  ...TOOLS,
  ...GROUPS.flatMap(({ tools }) => tools),
  ...[NETWORK, VOLUME, SYSTEM].flatMap(({ commands }) => commands),
  ...OF_IMAGES,
  CONTAINER_PRUNE,
]
