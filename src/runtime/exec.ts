/** exec: one more process in a running container. */

import { OperationError } from '../base/errors.ts'
import type { Flag, Parsed } from '../base/flags.ts'
import { parseJson } from '../base/json.ts'
import { type ExecRequest, execInContainer } from '../container/exec.ts'
import { type Process, parseProcess } from '../oci/process.ts'
import { absolute, type Command, type Context, operand } from './context.ts'
import { passedBy } from './create.ts'

const FLAGS: readonly Flag[] = [
  {
    name: 'process',
    short: 'p',
    type: 'string',
    value: 'FILE',
    help: 'a JSON document of the process, instead of what the flags say',
  },
  {
    name: 'console-socket',
    type: 'string',
    value: 'SOCKET',
    help: 'send the master of the terminal to this unix socket',
  },
  { name: 'tty', short: 't', type: 'bool', help: 'give it a terminal' },
  { name: 'detach', short: 'd', type: 'bool', help: 'return once it runs' },
  { name: 'pid-file', type: 'string', value: 'FILE', help: 'write its pid here' },
  { name: 'cwd', type: 'string', value: 'DIR', help: 'its working directory' },
  { name: 'env', short: 'e', type: 'list', value: 'NAME=VALUE', help: 'add to its environment' },
  { name: 'user', short: 'u', type: 'string', value: 'UID[:GID]', help: 'who it runs as' },
  { name: 'additional-gids', short: 'g', type: 'list', value: 'GID', help: 'add to its groups' },
  { name: 'cap', short: 'c', type: 'list', value: 'CAP', help: 'add to its capabilities' },
  { name: 'no-new-privs', type: 'bool', help: 'exec gives it no more privileges' },
  { name: 'process-label', type: 'string', value: 'LABEL', help: 'its SELinux label' },
  { name: 'apparmor', type: 'string', value: 'PROFILE', help: 'its AppArmor profile' },
  { name: 'preserve-fds', type: 'int', value: 'N', help: 'pass descriptors 3 to 2+N, behind those of LISTEN_FDS' },
  { name: 'ignore-paused', type: 'bool', help: 'also in a paused container, where it runs once that is resumed' },
  {
    name: 'cgroup',
    type: 'list',
    value: '[CONTROLLERS:]PATH',
    help: 'run it in this cgroup below that of the container',
  },
  { name: 'pidfd-socket', type: 'string', value: 'SOCKET', help: 'send a pidfd of it to this unix socket' },
]

export const execCommand: Command = {
  name: 'exec',
  operands: 'CONTAINER COMMAND [ARGUMENT...]',
  summary: 'run one more process in a container',
  flags: FLAGS,
  count: [1, Number.MAX_SAFE_INTEGER],
  passesArguments: true,
  failureStatus: 255,
  run: (context, given) => execInContainer(context.machine, requestOf(context, given)),
}

function requestOf(context: Context, given: Parsed): ExecRequest {
  const path = (name: string): string | undefined => {
    const value = given.string(name)
    return value === undefined || value === '' ? undefined : absolute(context, value)
  }
  const process = path('process')
  return {
    id: operand(given),
    process: (base) => (process === undefined ? processFromFlags(base, given) : processFromFile(context, process)),
    detach: given.bool('detach'),
    consoleSocket: path('console-socket'),
    pidFile: path('pid-file'),
    pidfdSocket: path('pidfd-socket'),
    ...passedBy(context, given),
    ignorePaused: given.bool('ignore-paused'),
    cgroups: given.list('cgroup'),
    warn: context.warn,
  }
}

function processFromFile({ machine }: Context, path: string): Process {
  const text = machine.files.readText(path)
  if (text === undefined)
    throw new OperationError({ kind: 'missing', operation: 'read the process', reason: `there is no ${path}`, path })
  return parseProcess(parseJson(text, path), path)
}

/** The process of the container with what the flags change; capabilities are added to all sets but the inheritable one, as runc does. */
function processFromFlags(base: Process, given: Parsed): Process {
  const args = given.rest.slice(1)
  if (args.length === 0)
    throw new OperationError({
      kind: 'invalid',
      operation: 'run a process in the container',
      reason: 'process args cannot be empty',
      hint: 'coffer-runc exec CONTAINER COMMAND [ARGUMENT...]',
    })
  const caps = given.list('cap')
  const added = base.capabilities ?? { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] }
  return {
    ...base,
    args,
    terminal: given.bool('tty'),
    consoleSize: undefined,
    cwd: given.string('cwd') ?? base.cwd,
    env: [...base.env, ...given.list('env')],
    user: userOf(base, given),
    noNewPrivileges: base.noNewPrivileges || given.bool('no-new-privs'),
    apparmorProfile: given.string('apparmor') ?? base.apparmorProfile,
    selinuxLabel: given.string('process-label') ?? base.selinuxLabel,
    ...(caps.length === 0
      ? {}
      : {
          capabilities: {
            bounding: [...added.bounding, ...caps],
            effective: [...added.effective, ...caps],
            permitted: [...added.permitted, ...caps],
            inheritable: added.inheritable,
            ambient: [...added.ambient, ...caps],
          },
        }),
  }
}

function userOf(base: Process, given: Parsed): Process['user'] {
  const gids = given
    .list('additional-gids')
    .flatMap((word) => word.split(',').map((gid) => idOf(gid, '--additional-gids')))
  const user = given.string('user')
  if (user === undefined) return { ...base.user, additionalGids: [...base.user.additionalGids, ...gids] }
  const [uid = '', gid] = user.split(':')
  return {
    ...base.user,
    uid: idOf(uid, '--user'),
    gid: gid === undefined ? base.user.gid : idOf(gid, '--user'),
    additionalGids: [...base.user.additionalGids, ...gids],
  }
}

function idOf(word: string, flag: string): number {
  const id = Number(word)
  if (/^\d+$/.test(word) && id < 0xffffffff) return id
  throw new OperationError({
    kind: 'invalid',
    operation: `understand ${flag}`,
    reason: `"${word}" is no id`,
    hint: 'give numbers from 0 to 4294967294; names are of the container, which a runtime does not look into',
  })
}
