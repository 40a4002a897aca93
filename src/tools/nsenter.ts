/** nsenter: run a program in the namespaces of another process, with the flags of nsenter(1) of util-linux. */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { isOwnNamespace, namespaceFile } from '../container/namespaces.ts'
import { architectureOf } from '../executor/embedded-call.ts'
import { PROCS, TASKS } from '../linux/cgroup.ts'
import { readCgroupsOf } from '../observe/cgroup.ts'
import { readStatusField } from '../observe/process.ts'
import { type NsenterRequest, planNsenter } from '../plan/nsenter.ts'
import { type GivenNamespace, givenNamespaces, NAMESPACE_LETTERS, namespaceFlags } from './namespace-flags.ts'
import type { Caller, Tool } from './tool.ts'
import { commandOf, countOf, gidOf, uidOf } from './words.ts'

const TOOL = 'coffer nsenter'

const FLAGS: readonly Flag[] = [
  { name: 'target', short: 't', type: 'int', value: 'PID', help: 'the process whose namespaces are entered' },
  { name: 'all', short: 'a', type: 'bool', help: 'enter all that are not those of the caller' },
  ...namespaceFlags('enter the', 'with FILE, that one'),
  { name: 'root', short: 'r', type: 'optional', value: 'DIR', help: 'have the root directory of the target, or DIR' },
  {
    name: 'wd',
    short: 'w',
    type: 'optional',
    value: 'DIR',
    help: 'start in the working directory of the target, or in DIR',
  },
  {
    name: 'wdns',
    short: 'W',
    type: 'string',
    value: 'DIR',
    help: 'start in DIR, as the entered mount namespace has it',
  },
  {
    name: 'setuid',
    short: 'S',
    type: 'string',
    value: 'UID|follow',
    help: 'run as this user, or as that of the target',
  },
  {
    name: 'setgid',
    short: 'G',
    type: 'string',
    value: 'GID|follow',
    help: 'run with this group, or with that of the target',
  },
  { name: 'preserve-credentials', type: 'bool', help: 'stay the same user in an entered user namespace' },
  {
    name: 'no-fork',
    short: 'F',
    type: 'bool',
    help: 'do not become a child, which alone is in an entered pid namespace',
  },
  { name: 'env', short: 'e', type: 'bool', help: 'have the environment of the target' },
  { name: 'join-cgroup', short: 'c', type: 'bool', help: 'join the cgroups of the target' },
  {
    name: 'follow-context',
    short: 'Z',
    type: 'bool',
    help: 'take the SELinux context of the target',
    refused: 'coffer sets no SELinux context here; nsenter(1) does',
  },
]

export const nsenterTool: Tool = {
  name: 'nsenter',
  operands: '[PROGRAM [ARGUMENT...]]',
  summary: 'run a program in the namespaces of another process',
  flags: FLAGS,
  details: `Without a program it runs $SHELL. In an entered user namespace it is root, unless told otherwise.

  coffer nsenter -t 4711 -a              a shell in all namespaces of process 4711
  coffer nsenter -t 4711 -n ip addr      its network, with the programs of this machine
  coffer nsenter --net=/run/netns/blue ip addr`,
  failureStatus: 1,
  does: {
    kind: 'plan',
    plan: (given, caller) => planNsenter(requestOf(given, caller), { architecture: architectureOf(caller.native) }),
  },
}

function requestOf(given: Parsed, caller: Caller): NsenterRequest {
  const target = countOf(given, 'target', TOOL, 1)
  const asked = given.bool('all') ? withAll(given, caller, target) : givenNamespaces(given)
  const namespaces = asked.map(({ type, file }) => ({
    type,
    file:
      file ?? namespaceFile(needTarget(target, NAMESPACE_LETTERS.find((one) => one[0] === type)?.[1] ?? type), type),
  }))
  const own = (flag: string, of: string): string | undefined => {
    const value = given.string(flag)
    return value === '' ? `/proc/${needTarget(target, flag)}/${of}` : value
  }
  return {
    target,
    namespaces,
    ofTarget: asked.filter(({ file }) => file === undefined).map(({ type }) => type),
    root: own('root', 'root'),
    workdir: own('wd', 'cwd'),
    workdirInside: given.string('wdns'),
    uid: followed(given, caller, target, 'setuid'),
    gid: followed(given, caller, target, 'setgid'),
    preservesCredentials: given.bool('preserve-credentials'),
    forks: namespaces.some(({ type }) => type === 'pid') && !given.bool('no-fork'),
    cgroupFiles: given.bool('join-cgroup') ? cgroupFilesOf(caller, needTarget(target, 'join-cgroup')) : [],
    command: {
      ...commandOf(caller, given.rest),
      ...(given.bool('env') ? { env: environmentOf(caller, needTarget(target, 'env')) } : {}),
    },
  }
}

function needTarget(target: number | undefined, flag: string): number {
  if (target !== undefined) return target
  throw usage(TOOL, `--${flag} without a file is about a process, and none is given`, 'add --target PID')
}

/** A namespace that the caller is in already is left out: nobody may enter the user namespace again that they are in. */
function withAll(given: Parsed, { files }: Caller, target: number | undefined): readonly GivenNamespace[] {
  const pid = needTarget(target, 'all')
  if (files.status(`/proc/${pid}`) === undefined) throw noProcess(pid)
  const withFiles = givenNamespaces(given).filter(({ file }) => file !== undefined)
  return NAMESPACE_LETTERS.flatMap(([type]): readonly GivenNamespace[] => {
    const withFile = withFiles.find((one) => one.type === type)
    if (withFile !== undefined) return [withFile]
    const path = namespaceFile(pid, type)
    return files.list(`/proc/${pid}/ns`) === undefined || isOwnNamespace(files, type, path)
      ? []
      : [{ type, file: undefined }]
  })
}

function noProcess(pid: number): OperationError {
  return new OperationError({
    kind: 'missing',
    operation: `enter the namespaces of process ${pid}`,
    reason: 'there is no such process',
    hint: 'pids are those of the procfs at /proc: ps -e; of a container, the one on the host',
    see: ['nsenter(1)', 'pid_namespaces(7)'],
  })
}

function followed(
  given: Parsed,
  caller: Caller,
  target: number | undefined,
  flag: 'setuid' | 'setgid',
): number | undefined {
  const word = given.string(flag)
  if (word === undefined) return undefined
  if (word !== 'follow') return (flag === 'setuid' ? uidOf : gidOf)(caller, word, { where: `--${flag}`, tool: TOOL })
  const pid = needTarget(target, flag)
  const ids = readStatusField(caller.files, pid, flag === 'setuid' ? 'Uid' : 'Gid')
  if (ids === undefined) throw noProcess(pid)
  return Number(ids.split(/\s+/)[1])
}

function environmentOf({ files }: Caller, pid: number): readonly string[] {
  const text = files.readText(`/proc/${pid}/environ`)
  if (text === undefined) throw noProcess(pid)
  return text.split('\0').filter((entry) => entry !== '')
}

/** tasks on v1: cgroup.procs waits for readers of other files, 5 to 17 ms against 10 µs, and this process has one thread. */
const cgroupFilesOf = ({ files }: Caller, pid: number): readonly string[] =>
  readCgroupsOf(files, pid).map(
    ({ version, mountPoint, path }) => `${mountPoint}${path === '/' ? '' : path}/${version === 1 ? TASKS : PROCS}`,
  )
