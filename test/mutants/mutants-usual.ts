/** Mutants of what every container has: process, mounts, cgroups. */

import type { Argument } from '../../src/linux/call.ts'
import { text } from '../../src/linux/call.ts'
import { AT_RECURSIVE } from '../../src/linux/files.ts'
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
} from '../../src/linux/mount.ts'
import { NAMESPACE_FLAGS } from '../../src/plan/namespaces.ts'
import type { Step } from '../../src/plan/plan.ts'
import {
  all,
  changeFlags,
  drop,
  dropThen,
  type Edit,
  edit,
  editCall,
  move,
  setArgument,
  setField,
} from '../plan-edits.ts'
import { inScenario, type Mutant } from './mutant.ts'
import * as paths from './scenarios-paths.ts'
import * as processes from './scenarios-process.ts'
import { usual } from './usual.ts'

const usually = inScenario(usual)
const CLONE = 'make the first process of'

export const withoutNamespace = (type: keyof typeof NAMESPACE_FLAGS): Edit =>
  setField(CLONE, 0, 0, (flags) => flags & ~BigInt(NAMESPACE_FLAGS[type]))

/** Effective, permitted and inheritable, 32 bits of each and then the rest: capset(2). */
const inheritable = (): Uint8Array => {
  const bytes = new Uint8Array(24)
  new Uint32Array(bytes.buffer).set([0xa80425fb, 0xa80425fb, 0x20, 0, 0, 0])
  return bytes
}

export const OF_PROCESS: readonly Mutant[] = [
  usually('the groups of the caller stay', drop('have no groups of the caller')),
  usually('CAP_SYS_ADMIN stays in the bounding set', drop('CAP_SYS_ADMIN away')),
  usually('CAP_SYS_MODULE stays in the bounding set', drop('CAP_SYS_MODULE away')),
  usually('the bounding set stays whole', drop(/PR_CAPBSET_DROP/)),
  usually('a capability is inheritable', setArgument('capabilities that it is given', 1, inheritable)),
  usually('no_new_privs is not set', drop('gain nothing from set-user-ID')),
  usually('no filter is loaded', drop('system calls that its profile')),
  usually(
    'the filter is empty',
    editCall('system calls that its profile', () => ({ name: 'getpid', args: [] })),
  ),
  usually('it stays in the session of the caller', drop('leave the session')),
  usually('signals stay blocked', drop('let the program get signals')),
  usually('the umask is 0', drop('begin with the umask')),
  usually('the oom_score_adj is not set', drop('set its oom_score_adj', 'write')),
  usually('the limit of open files is not set', drop('limit RLIMIT_NOFILE')),
  usually('the sysctl is not set', drop('set net.core.somaxconn', 'write')),
  ...(['mount', 'pid', 'network', 'uts', 'ipc'] as const).map((type) =>
    usually(`no new ${type} namespace`, withoutNamespace(type)),
  ),
  usually('no new cgroup namespace', drop('show its own cgroup as the root')),
  usually('the cgroup namespace before the cgroup', move('show its own cgroup as the root', 'before', 'join its')),
]

const onlyChroot: Edit = all(
  editCall(/^pivot_root/, () => ({ name: 'chroot', args: ['.'] })),
  drop('take the tree of the host away'),
  drop('be sure that nothing'),
)

const READONLY = /linux\.readonlyPaths/

export const OF_MOUNTS: readonly Mutant[] = [
  usually('no pivot_root', drop(/^pivot_root/)),
  usually('the tree of the host stays', all(drop('take the tree of the host away'), drop('be sure that nothing'))),
  inScenario(processes.admin)('only chroot', onlyChroot),
  usually('the root stays writable', drop('make the root of the container read-only')),
  usually('read-only paths are not', drop(READONLY)),
  usually('read-only paths are bound and stay writable', dropThen(READONLY)),
  usually('/proc/sys is not read-only', drop('keep /proc/sys from')),
  usually('/proc/irq is not read-only', drop('keep /proc/irq')),
  usually('a read-only path loses the flags of its file system', edit('keep /proc/sys from', anew, 'mount_setattr')),
  usually('/proc/keys is not masked', drop('hide /proc/keys')),
  usually('/proc/timer_list is not masked', drop('hide /proc/timer_list')),
  usually('/sys/firmware is not masked', drop('hide /sys/firmware')),
  usually('a masked path of the image is not', dropThen('take /etc/secret')),
  usually(
    'files are masked by another device',
    setArgument('have a /dev/null to cover', 1, () => 'zero'),
  ),
  usually('masks before the mounts of the cgroups', move('hide /sys/firmware', 'before', 'take /sys of the container')),
  usually('sysfs is writable', changeFlags('mount a new sysfs', 3, { take: MS_RDONLY })),
  usually('sysfs has set-user-ID programs', changeFlags('mount a new sysfs', 3, { take: MS_NOSUID })),
  usually('/dev has set-user-ID programs', changeFlags('mount a new tmpfs at /dev (', 3, { take: MS_NOSUID })),
  usually('/dev/shm has devices', changeFlags('mount a new tmpfs at /dev/shm', 3, { take: MS_NODEV })),
  usually('/dev/shm has programs', changeFlags('mount a new tmpfs at /dev/shm', 3, { take: MS_NOEXEC })),
  usually('/dev/mqueue has set-user-ID programs', changeFlags('mount a new mqueue', 3, { take: MS_NOSUID })),
  usually('/dev/pts has programs', changeFlags('mount a new devpts', 3, { take: MS_NOEXEC })),
  usually('the cgroup of memory is writable', changeFlags('its cgroup of memory', 3, { take: MS_RDONLY }, 'mount')),
  inScenario(processes.limits)('the cgroup mount has no attributes', drop('give all hierarchies at')),
  inScenario(processes.limits)(
    'only the top of the cgroup mount has attributes',
    setArgument('give all hierarchies at', 2, withoutRecursive),
  ),
  ...(
    [
      ['ro', MOUNT_ATTR_RDONLY],
      ['nosuid', MOUNT_ATTR_NOSUID],
      ['nodev', MOUNT_ATTR_NODEV],
      ['noexec', MOUNT_ATTR_NOEXEC],
    ] as const
  ).map(([word, bit]) =>
    usually(
      `a bind mount loses ${word}`,
      setField('at /mnt/volume its attributes', 3, 0, (set) => set & ~BigInt(bit)),
    ),
  ),
  usually('a bind mount has no attributes', drop('at /mnt/volume its attributes')),
  inScenario(paths.shared)('mounts get out to the host', drop('keep mounts and unmounts of the container')),
]

const MS_BIND = 0x1000
const MS_REMOUNT = 0x20

/** mount(2) sets all flags of a mount anew, and so forgets those that it had. */
function anew(step: Step): readonly Step[] {
  const [dir, path = ''] = step.call.args
  if (typeof dir !== 'object' || !('slot' in dir) || typeof path !== 'string') throw new Error('no place of a mount')
  const target = text('self/fd/', dir, `/${path}`)
  return [{ ...step, call: { name: 'mount', args: ['none', target, 0, MS_RDONLY | MS_REMOUNT | MS_BIND, 0] } }]
}

function withoutRecursive(flags: Argument): Argument {
  return Number(flags) & ~AT_RECURSIVE
}

export const OF_CGROUPS: readonly Mutant[] = [
  usually('all devices are allowed', drop(/^write\(devices\.deny/)),
  usually('devices are denied behind what is allowed', move(/^write\(devices\.deny/, 'behind', /"c 136/)),
  usually(
    'one device more is allowed',
    editCall(/^write\(devices\.allow, "c 1:3/, ({ name, args: [fd = 0] }) => ({ name, args: [fd, 'c 1:* rwm', 9] })),
  ),
  usually('it does not join its devices cgroup', drop('join its devices cgroup', 'write')),
  inScenario(processes.limits)('the limit of tasks is not set', drop('let it have 12 tasks', 'write')),
  inScenario(processes.limits)('the limit of memory is not set', drop('limit its memory', 'write')),
  inScenario(processes.limits)('it does not join its pids cgroup', drop(/^write\(tasks:pids/)),
  inScenario(processes.limits)('it does not join its memory cgroup', drop(/^write\(tasks:memory/)),
  inScenario(processes.limits)('a cgroup is not removed', drop('remove its memory cgroup')),
]
