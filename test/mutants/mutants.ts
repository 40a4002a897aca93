/** All mutants of plans, those of hostile paths, of users and of the life of a container first. */

import type { Argument } from '../../src/linux/call.ts'
import { RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from '../../src/linux/files.ts'
import { NAMESPACE_FLAGS } from '../../src/plan/namespaces.ts'
import type { Step } from '../../src/plan/plan.ts'
import {
  all,
  changeFlags,
  drop,
  dropCheck,
  dropUndo,
  type Edit,
  edit,
  editCall,
  type Match,
  move,
  setArgument,
} from '../plan-edits.ts'
import { inScenario, type Mutant } from './mutant.ts'
import { OF_CGROUPS, OF_MOUNTS, OF_PROCESS, withoutNamespace } from './mutants-usual.ts'
import * as paths from './scenarios-paths.ts'
import * as processes from './scenarios-process.ts'

const READONLY = /linux\.readonlyPaths/

/** As who joins paths, and does not ask the kernel to stay below the root. */
export const byPath = (match: Match): Edit =>
  all(
    setArgument(match, 1, (path) => (typeof path === 'string' ? path.replace(/^\/(?=.)/, '') : path), 'openat2'),
    editCall(
      match,
      (call) => ({ ...call, args: call.args.map((old, at) => (at === 2 ? withResolve(old, 0n) : old)) }),
      'openat2',
    ),
  )

/** The third number of struct open_how. */
function withResolve(how: Argument, keep: bigint): Argument {
  if (!(how instanceof Uint8Array)) throw new Error('no struct open_how')
  const copy = new Uint8Array(how)
  const view = new DataView(copy.buffer)
  view.setBigUint64(16, view.getBigUint64(16, true) & keep, true)
  return copy
}

export const withoutResolve = (match: Match, bits: number): Edit =>
  editCall(
    match,
    (call) => ({ ...call, args: call.args.map((old, at) => (at === 2 ? withResolve(old, ~BigInt(bits)) : old)) }),
    'openat2',
  )

const OF_PATHS: readonly Mutant[] = [
  inScenario(paths.links)('targets of bind mounts are joined paths', byPath('the bind mount of')),
  inScenario(paths.links)('the target of a tmpfs is a joined path', byPath('for a new tmpfs')),
  inScenario(paths.links)('a masked path is a joined path', byPath('to cover it')),
  inScenario(paths.links)('a read-only path is a joined path', byPath(READONLY)),
  inScenario(paths.links)('a read-only path of the image is not', drop(READONLY)),
  inScenario(paths.links)('the directory of a device is a joined path', byPath('for /absolute/node')),
  inScenario(paths.links)(
    'the working directory before the root changes',
    move(/^start in/, 'before', 'find the tree of the host'),
  ),
  inScenario(paths.procLink)(
    'links on the way to /proc are followed',
    all(withoutResolve('take /proc of the container', RESOLVE_NO_SYMLINKS), drop('make /proc in the container')),
  ),
  inScenario(paths.devLink)(
    'the /dev of the image is a joined path',
    all(byPath('for devices'), drop('make /dev in the container')),
  ),
  inScenario(paths.devLink)(
    'links on the way to /dev are followed',
    all(
      withoutResolve('for devices', RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT),
      drop('make /dev in the container'),
      byPath('for devices'),
    ),
  ),
  inScenario(paths.procMount)('a target in procfs is not looked for', dropCheck('is not inside a procfs')),
  inScenario(paths.procBind)(
    'a directory may be /proc',
    all(dropCheck('root of a procfs', 'fstatfs'), dropCheck('root of a procfs', 'statx')),
  ),
  inScenario(paths.procPart)('a part of procfs may be /proc', dropCheck('root of a procfs', 'statx')),
  ...[paths.nullFile, paths.nullMinor, paths.nullMajor, paths.nullBlock].map((scenario) =>
    inScenario(scenario)(`masks on ${scenario.name}`, dropCheck('be sure that it is character device')),
  ),
  inScenario(paths.impostor)('the procfs of the caller is not looked at', dropCheck('be sure that it is procfs')),
  inScenario(paths.cwdDescriptor)('the working directory is not looked at', dropCheck('is inside the container')),
  inScenario(paths.namespaceFifo)('a namespace path is not looked at', dropCheck('is a namespace')),
]

const OF_USERS: readonly Mutant[] = [
  inScenario(processes.user)('the user is root', drop('run as user')),
  inScenario(processes.user)('the group is root', drop('run as group')),
  inScenario(processes.user)('the groups of the caller stay', drop('be in the groups')),
  inScenario(processes.user)('no_new_privs is not set', drop('gain nothing from set-user-ID')),
  inScenario(processes.user)('the keyring of the caller stays', drop('have no key of the caller')),
  inScenario(processes.user)('the capabilities of the caller stay inheritable', drop('capabilities that it is given')),
  {
    ...inScenario(processes.user)(
      'the saved user is root',
      setArgument('run as user', 2, () => 0),
    ),
    equivalent:
      'execve(2) makes the saved user the effective one, and nothing of the image runs before it as another user',
  },
  inScenario(processes.filtered)('no filter is loaded', drop('system calls that its profile')),
  {
    ...inScenario(processes.filtered)('the privilege that loads the filter stays', drop('have no more capabilities')),
    equivalent:
      'execve(2) gives a user what is ambient and root what is in the bounding set, whatever was permitted before; a startContainer ' +
      'hook would notice, and test/kernel/process-wiring.test.ts has it',
  },
  inScenario(processes.userNamespace)('no user namespace', withoutNamespace('user')),
  inScenario(processes.userNamespace)(
    'users are those of the host',
    editCall(/^write\(uid_map/, ({ name, args: [fd = 0] }) => ({ name, args: [fd, '0 0 65536\n', 10] })),
  ),
  inScenario(processes.userNamespace)(
    'groups are those of the host',
    editCall(/^write\(gid_map/, ({ name, args: [fd = 0] }) => ({ name, args: [fd, '0 0 65536\n', 10] })),
  ),
  inScenario(processes.userNamespace)('it is nobody inside', all(drop('be the root user'), drop('run as user'))),
  inScenario(processes.userNamespace)('the groups of the caller stay', drop('have no groups')),
]

const OF_LIVES: readonly Mutant[] = [
  inScenario(processes.program)('descriptors stay open while the program is found', drop('pass nothing else on')),
  inScenario(processes.created)('descriptors stay open while it waits', drop('pass nothing else on')),
  inScenario(processes.created)(
    'one descriptor more stays open',
    setArgument('pass nothing else on', 0, (first) => Number(first) + 2),
  ),
  inScenario(processes.created)('the socket of the executor stays open', drop('hold nothing of the executor')),
  inScenario(processes.created)(
    'the directory of the record is for all',
    setArgument('take the name', 2, () => 0o755),
  ),
  inScenario(processes.created)(
    'the record is for all',
    setArgument(/"state\.json"/, 3, () => 0o644),
  ),
  inScenario(processes.created)(
    'the fifo is for all',
    edit(/exec\.fifo/, (step) => [widened(step)]),
  ),
  inScenario(processes.created)(
    'the run root is for all',
    setArgument('have a place for states', 2, () => 0o755),
  ),
  inScenario(processes.exec)('the groups of the caller stay', drop('have no groups of the caller')),
  inScenario(processes.exec)('no_new_privs is not set', drop('gain nothing from set-user-ID')),
  inScenario(processes.exec)('no filter is loaded', drop('system calls that its profile')),
  inScenario(processes.exec)('the bounding set stays whole', drop(/PR_CAPBSET_DROP/)),
  {
    ...inScenario(processes.exec)('descriptors stay open', drop('pass nothing else on')),
    equivalent:
      'all of them are close-on-exec as well; what can still use them is the path of the program, and init has the check for that',
  },
  inScenario(processes.exec)('it stays in the cgroups of the caller', drop(/^write\(tasks:/)),
  inScenario(processes.exec)('it enters no namespace', drop('enter the namespaces of')),
  ...(['mount', 'pid', 'network', 'uts', 'ipc'] as const).map((type) =>
    inScenario(processes.exec)(
      `it does not enter the ${type} namespace`,
      changeFlags('enter the namespaces of', 1, { take: NAMESPACE_FLAGS[type] }),
    ),
  ),
  inScenario(processes.exec)('the keyring of the caller stays', drop('have no key of the caller')),
  {
    ...inScenario(processes.terminal)('the container keeps its master', drop('keep the container from its own master')),
    equivalent: 'it is close-on-exec, and close_range(2) closes it before the process waits',
  },
  inScenario(processes.terminal)('the terminal does not control it', drop('be interrupted by the keys')),
  inScenario(processes.terminal)('its errors go to the caller', drop(/^dup3\(terminal-slave, 2/)),
  inScenario(processes.terminal)('/dev/console is not the terminal', drop(/^move_mount\(console-tree/)),
  inScenario(processes.terminal)(
    'the terminal is one of the host',
    setArgument(/openat2\(root, "dev\/pts\/ptmx"/, 1, () => 'dev/pts/absent'),
  ),
  inScenario(processes.broken)('the name is not given back', dropUndo('take the name')),
  inScenario(processes.broken)('the record is not removed', dropUndo(/"state\.json"/)),
  inScenario(processes.broken)('a cgroup is not taken back', dropUndo('make its memory cgroup')),
  inScenario(processes.broken)('no cgroup is taken back', dropUndo(/^make its .* cgroup/)),
]

function widened(step: Step): Step {
  return {
    ...step,
    call: { ...step.call, args: step.call.args.map((old) => (old === (0o010000 | 0o600) ? 0o010666 : old)) },
  }
}

export const MUTANTS: readonly Mutant[] = [
  ...OF_PROCESS,
  ...OF_MOUNTS,
  ...OF_CGROUPS,
  ...OF_PATHS,
  ...OF_USERS,
  ...OF_LIVES,
]
