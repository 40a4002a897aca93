/** checkpoint and restore. */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { type CheckpointCall, checkpointContainer } from '../container/checkpoint.ts'
import { readBundle } from '../container/create.ts'
import { type CriuCall, cgroupModeOf } from '../container/criu.ts'
import { restoreContainer } from '../container/restore.ts'
import { absolute, type Command, type Context, operand } from './context.ts'

/** What both take. */
const CRIU_FLAGS: readonly Flag[] = [
  { name: 'image-path', type: 'string', value: 'DIR', help: 'where the images are; ./checkpoint if not given' },
  {
    name: 'work-path',
    type: 'string',
    value: 'DIR',
    help: 'where criu writes its log; where the images are if not given',
  },
  { name: 'tcp-established', type: 'bool', help: 'take open TCP connections along' },
  { name: 'ext-unix-sk', type: 'bool', help: 'allow unix sockets that lead out of the container' },
  { name: 'shell-job', type: 'bool', help: "allow the caller's terminal as standard input and output" },
  { name: 'file-locks', type: 'bool', help: 'take locks of files along' },
  {
    name: 'manage-cgroups-mode',
    type: 'string',
    value: 'soft|full|strict|ignore',
    help: 'what criu does about cgroups',
  },
  {
    name: 'empty-ns',
    type: 'list',
    value: 'network',
    help: 'keep nothing of the network namespace but that there is one',
  },
  { name: 'auto-dedup', type: 'bool', help: 'keep each page of memory in one image only' },
]

const CHECKPOINT_FLAGS: readonly Flag[] = [
  ...CRIU_FLAGS,
  { name: 'parent-path', type: 'string', value: 'DIR', help: 'images of a pre-dump, relative to --image-path' },
  { name: 'leave-running', type: 'bool', help: 'let the container go on' },
  { name: 'tcp-skip-in-flight', type: 'bool', help: 'leave out TCP connections that are being made' },
  { name: 'link-remap', type: 'bool', help: 'give open files without a name one while it takes' },
  { name: 'lazy-pages', type: 'bool', help: 'keep memory until --page-server has been asked for it' },
  { name: 'status-fd', type: 'int', value: 'FD', help: 'write a zero byte here once pages can be asked for' },
  {
    name: 'page-server',
    type: 'string',
    value: 'ADDRESS:PORT',
    help: 'send memory there; with --lazy-pages, serve it there',
  },
  { name: 'pre-dump', type: 'bool', help: 'write memory alone, and let the container go on' },
]

const RESTORE_FLAGS: readonly Flag[] = [
  ...CRIU_FLAGS,
  { name: 'bundle', short: 'b', type: 'string', value: 'DIR', help: 'the bundle; the current directory if not given' },
  { name: 'detach', short: 'd', type: 'bool', help: 'return once the container runs' },
  { name: 'pid-file', type: 'string', value: 'FILE', help: 'write the pid of init here' },
  { name: 'lazy-pages', type: 'bool', help: 'fetch memory when it is used, from a criu lazy-pages that runs' },
  { name: 'lsm-profile', type: 'string', value: 'TYPE:NAME', help: 'another AppArmor or SELinux profile' },
  { name: 'lsm-mount-context', type: 'string', value: 'CONTEXT', help: 'another SELinux context of mounts' },
  { name: 'no-subreaper', type: 'bool', help: 'taken and ignored: init is always a child of coffer' },
  {
    name: 'console-socket',
    type: 'string',
    value: 'SOCKET',
    help: '',
    refused: 'criu as a program hands the master of a restored terminal to nobody',
  },
  {
    name: 'no-pivot',
    type: 'bool',
    help: '',
    refused: 'criu makes the root of the container, and always with pivot_root(2)',
  },
]

export const checkpointCommand: Command = {
  name: 'checkpoint',
  operands: 'CONTAINER',
  summary: 'write a container into files with criu, and end it',
  flags: CHECKPOINT_FLAGS,
  count: [1, 1],
  run: (context, given) => {
    const { machine, env, warn } = context
    const options = checkpointOptions(context, given)
    const statusFd = given.int('status-fd')
    checkpointContainer(machine, {
      id: operand(given),
      options,
      env,
      ...(statusFd === undefined || statusFd < 0 ? {} : { statusFd }),
      warn,
    })
    return 0
  },
}

export const restoreCommand: Command = {
  name: 'restore',
  operands: 'CONTAINER',
  summary: 'make a container from the files of a checkpoint',
  flags: RESTORE_FLAGS,
  count: [1, 1],
  run: (context, given) => {
    const { machine, env, warn } = context
    const bundle = absolute(context, given.string('bundle') || context.cwd)
    const pidFile = given.string('pid-file') || undefined
    return restoreContainer(machine, {
      id: operand(given),
      ...readBundle(machine.files, bundle),
      options: {
        ...criuOptions(context, given, 'restore'),
        lsmProfile: given.string('lsm-profile') || undefined,
        lsmMountContext: given.string('lsm-mount-context') || undefined,
      },
      env,
      ...(pidFile === undefined ? {} : { pidFile: absolute(context, pidFile) }),
      detach: given.bool('detach'),
      warn,
    })
  },
}

function checkpointOptions(context: Context, given: Parsed): CheckpointCall['options'] {
  const parentPath = given.string('parent-path') || undefined
  if (parentPath?.startsWith('/'))
    throw usage('coffer-runc checkpoint', `--parent-path is ${parentPath}`, 'give it relative to --image-path')
  const server = given.string('page-server') || undefined
  return {
    ...criuOptions(context, given, 'checkpoint'),
    parentPath,
    preDump: given.bool('pre-dump'),
    leaveRunning: given.bool('leave-running'),
    skipInFlight: given.bool('tcp-skip-in-flight'),
    linkRemap: given.bool('link-remap'),
    ...(server === undefined ? {} : { pageServer: pageServerOf(server) }),
  }
}

function criuOptions(context: Context, given: Parsed, command: string): CriuCall {
  const imagesDirectory = absolute(context, given.string('image-path') || 'checkpoint')
  const workPath = given.string('work-path') || undefined
  const others = given.list('empty-ns').filter((name) => name !== 'network')
  if (others.length > 0)
    throw usage(`coffer-runc ${command}`, `--empty-ns is "${others[0]}"`, 'criu knows only: --empty-ns network')
  return {
    imagesDirectory,
    workDirectory: workPath === undefined ? imagesDirectory : absolute(context, workPath),
    tcpEstablished: given.bool('tcp-established'),
    extUnixSockets: given.bool('ext-unix-sk'),
    shellJob: given.bool('shell-job'),
    fileLocks: given.bool('file-locks'),
    lazyPages: given.bool('lazy-pages'),
    autoDedup: given.bool('auto-dedup'),
    cgroupMode: cgroupModeOf(given.string('manage-cgroups-mode') || 'soft'),
    emptyNetwork: given.list('empty-ns').length > 0,
  }
}

/** `[::1]:27` too. */
function pageServerOf(word: string): NonNullable<CheckpointCall['options']['pageServer']> {
  const [, address, digits] = /^\[?([^[\]]+?)\]?:(\d+)$/.exec(word) ?? []
  const port = Number(digits)
  if (address !== undefined && port <= 65535) return { address, port }
  throw usage('coffer-runc checkpoint', `--page-server is "${word}"`, 'write it like 127.0.0.1:9876')
}
