/** create, start, run: a bundle becomes a container. */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { type CreateRequest, readBundle } from '../container/create.ts'
import { checkPassed, type Passed } from '../container/passed.ts'
import { createContainer, runContainer } from '../container/run.ts'
import { startContainer } from '../container/start.ts'
import { absolute, type Command, type Context, operand } from './context.ts'

export const BUNDLE_FLAGS: readonly Flag[] = [
  { name: 'bundle', short: 'b', type: 'string', value: 'DIR', help: 'the bundle; the current directory if not given' },
  { name: 'config', short: 'f', type: 'string', value: 'FILE', help: 'read this instead of config.json of the bundle' },
  {
    name: 'console-socket',
    type: 'string',
    value: 'SOCKET',
    help: 'send the master of the terminal to this unix socket',
  },
  { name: 'pid-file', type: 'string', value: 'FILE', help: 'write the pid of init here' },
  { name: 'no-pivot', type: 'bool', help: 'move the root instead of pivot_root(2), as a root on an initramfs needs' },
  { name: 'no-new-keyring', type: 'bool', help: 'keep the session keyring of the caller' },
  { name: 'preserve-fds', type: 'int', value: 'N', help: 'pass descriptors 3 to 2+N, behind those of LISTEN_FDS' },
  { name: 'pidfd-socket', type: 'string', value: 'SOCKET', help: 'send a pidfd of init to this unix socket' },
]

const RUN_FLAGS: readonly Flag[] = [
  ...BUNDLE_FLAGS,
  { name: 'detach', short: 'd', type: 'bool', help: 'return once the program runs' },
  { name: 'keep', type: 'bool', help: 'keep the state of the container when it has ended' },
  { name: 'no-subreaper', type: 'bool', help: 'taken and ignored: init is always a child of coffer' },
]

export function createRequest(context: Context, given: Parsed): CreateRequest {
  const bundle = absolute(context, given.string('bundle') ?? context.cwd)
  const config = given.string('config')
  const path = (name: string): string | undefined => {
    const value = given.string(name)
    return value === undefined || value === '' ? undefined : absolute(context, value)
  }
  return {
    id: operand(given),
    ...readBundle(context.machine.files, bundle, config === undefined ? undefined : absolute(context, config)),
    consoleSocket: path('console-socket'),
    pidFile: path('pid-file'),
    pidfdSocket: path('pidfd-socket'),
    noPivot: given.bool('no-pivot'),
    noNewKeyring: given.bool('no-new-keyring'),
    ...passedBy(context, given),
    notifySocket: context.env.get('NOTIFY_SOCKET') || undefined,
    warn: context.warn,
  }
}

/** What is no number in LISTEN_FDS counts as none, as for sd_listen_fds(3). */
export function passedBy({ machine, env }: Context, given: Parsed): Passed {
  const listen = env.get('LISTEN_FDS') ?? ''
  const preserveFds = given.int('preserve-fds') ?? 0
  if (preserveFds < 0) throw usage('coffer-runc', `--preserve-fds is ${preserveFds}, less than none`)
  return checkPassed(machine, {
    preserveFds,
    listenFds: /^\d{1,9}$/.test(listen) ? Number(listen) : 0,
  })
}

export const createCommand: Command = {
  name: 'create',
  operands: 'CONTAINER',
  summary: 'make a container that waits for start',
  flags: BUNDLE_FLAGS,
  count: [1, 1],
  run: (context, given) => {
    createContainer(context.machine, createRequest(context, given))
    return 0
  },
}

export const startCommand: Command = {
  name: 'start',
  operands: 'CONTAINER',
  summary: 'start the program of a created container',
  flags: [],
  count: [1, 1],
  run: (context, given) => {
    startContainer(context.machine, operand(given))
    return 0
  },
}

export const runCommand: Command = {
  name: 'run',
  operands: 'CONTAINER',
  summary: 'make a container, start it, wait for it and remove it',
  flags: RUN_FLAGS,
  count: [1, 1],
  run: (context, given) => {
    const request = createRequest(context, given)
    return runContainer(context.machine, request, { detach: given.bool('detach'), keep: given.bool('keep') })
  },
}
