/**
 * nsenter: the process enters namespaces of another one, and becomes a program there. The order is that of nsenter(1) of util-linux.
 *
 * All files are opened before any namespace is entered: behind it the paths lead elsewhere. Joining a pid namespace takes effect on children
 * alone, so the program is one then. Until it is a program the process is not dumpable, as it is in sight of strangers (SECURITY-CHECKS S9).
 */

import { type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  chroot,
  close,
  fchdir,
  O_APPEND,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  openat,
  write,
} from '../linux/files.ts'
import { setns } from '../linux/namespaces.ts'
import { PR_SET_DUMPABLE, pidfdOpen, pidfdSendSignal, prctl } from '../linux/process.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { planAttended } from './attended.ts'
import { type Command, planCommand } from './command.ts'
import type { Host } from './host.ts'
import { leaveGroups, NAMESPACE_FLAGS } from './namespaces.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { becomeUser, planGroup, startIn } from './unshare.ts'

export interface NsenterRequest {
  /** The process whose namespaces are entered where no file is given. */
  readonly target?: number | undefined
  readonly namespaces: readonly { readonly type: NamespaceType; readonly file: string }[]
  /** Those of them that are of the target itself, and that its pidfd leads to. */
  readonly ofTarget: readonly NamespaceType[]
  readonly root?: string | undefined
  readonly workdir?: string | undefined
  /** Below the new root. */
  readonly workdirInside?: string | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  readonly preservesCredentials: boolean
  readonly forks: boolean
  /** Files in which a process registers itself as a member of the cgroups of the target: cgroup.procs, tasks. */
  readonly cgroupFiles: readonly string[]
  readonly command: Command
}

const TARGET: Slot = slot('target')
const ROOT: Slot = slot('root')
const WORKDIR: Slot = slot('workdir')

export function planNsenter(request: NsenterRequest, host: Pick<Host, 'architecture'>): Plan {
  const { namespaces, target, command, forks } = request
  const inside = [...planProcess(request), ...planCommand(command)]
  const ofFiles = namespaces.filter(({ type }) => !request.ofTarget.includes(type))
  return {
    operation: `run ${command.args[0] ?? ''} in other namespaces`,
    steps: [
      ...(target === undefined ? [] : [openTarget(target)]),
      ...ofFiles.map(({ type, file }) => openNamespace(type, file)),
      ...(request.root === undefined ? [] : [openDirectory(request.root, ROOT, 'have it as root', host)]),
      ...(request.workdir === undefined ? [] : [openDirectory(request.workdir, WORKDIR, 'start in it', host)]),
      ...request.cgroupFiles.map(openCgroup),
      ...(target === undefined || request.root === undefined ? [] : [isStillThere]),
      ...request.cgroupFiles.map(joinCgroup),
      hide,
      ...planEnter(request, ofFiles),
      ...planDirectories(request),
      ...(forks ? planAttended('be a process of the pid namespace, which only a child can be', inside) : inside),
    ],
  }
}

const openTarget = (pid: number): Step => ({
  call: pidfdOpen(pid),
  why: `hold on to process ${pid}`,
  see: ['pidfd_open(2)'],
  into: TARGET,
})

const isStillThere: Step = {
  call: pidfdSendSignal(TARGET, 0),
  why: 'be sure that these are files of the target, and of no later process with its pid',
  see: ['pidfd_send_signal(2)'],
}

const namespaceSlot = (type: NamespaceType): Slot => slot(`${type} namespace`)

const openNamespace = (type: NamespaceType, file: string): Step => ({
  call: openat(AT_FDCWD, file, O_RDONLY),
  why: `take the ${type} namespace of ${file}`,
  see: ['namespaces(7)'],
  into: namespaceSlot(type),
})

const openDirectory = (path: string, into: Slot, why: string, { architecture }: Pick<Host, 'architecture'>): Step => ({
  call: openat(AT_FDCWD, path, O_PATH | O_DIRECTORY[architecture]),
  why: `take ${path}, to ${why}`,
  see: ['proc_pid_root(5)', 'proc_pid_cwd(5)'],
  into,
})

const cgroupSlot = (index: number): Slot => slot(`cgroup ${index}`)
const openCgroup = (path: string, index: number): Step => ({
  call: openat(AT_FDCWD, path, O_WRONLY | O_APPEND),
  why: 'join the cgroups of the target',
  see: ['cgroups(7)'],
  into: cgroupSlot(index),
})
const joinCgroup = (_: string, index: number): Step => ({
  call: write(cgroupSlot(index), '0', 1),
  why: 'join the cgroups of the target',
  see: ['cgroups(7)'],
})

const hide: Step = {
  call: prctl(PR_SET_DUMPABLE, 0),
  why: 'keep the processes of the namespaces from looking into it',
  see: ['PR_SET_DUMPABLE(2const)', 'ptrace(2)'],
}

/**
 * A user namespace is entered first by a caller without privilege over the others, which it owns; and last by one who has privilege here and
 * would lose it there. So what may be refused is tried twice, as nsenter(1) does.
 */
function planEnter(request: NsenterRequest, ofFiles: NsenterRequest['namespaces']): readonly Step[] {
  const { ofTarget, preservesCredentials } = request
  const hasUser = request.namespaces.some(({ type }) => type === 'user')
  const user = ofFiles.filter(({ type }) => type === 'user')
  const mount = ofFiles.filter(({ type }) => type === 'mount')
  const others = ofFiles.filter(({ type }) => type !== 'user' && type !== 'mount')
  const targetFlags = ofTarget.reduce((sum, type) => sum + NAMESPACE_FLAGS[type], 0)
  return [
    ...(hasUser && !preservesCredentials ? [leaveGroups] : []),
    ...(targetFlags === 0
      ? []
      : [
          { call: setns(TARGET, targetFlags), why: `enter namespaces of the target: ${ofTarget.join(', ')}`, see: SEE },
        ]),
    ...(user.length === 0
      ? [...others, ...mount].map(enter)
      : [
          ...[...others, ...mount].map(tryEnter),
          ...user.map(enter),
          ...[...others, ...mount].map((one): Step => ({ ...enter(one), tolerate: ['EBADF'] })),
        ]),
  ]
}

const SEE: readonly Ref[] = ['setns(2)', 'namespaces(7)']

const enter = ({ type, file }: NsenterRequest['namespaces'][number]): Step => ({
  call: setns(namespaceSlot(type), NAMESPACE_FLAGS[type]),
  why: `enter the ${type} namespace of ${file}`,
  see: SEE,
})

const tryEnter = (one: NsenterRequest['namespaces'][number]): Step => ({
  ...enter(one),
  // It may belong to the user namespace that is entered next.
  tolerate: ['EPERM'],
  then: [{ call: close(namespaceSlot(one.type)), why: 'not enter it twice', see: ['setns(2)'] }],
})

function planDirectories({ root, workdir, workdirInside }: NsenterRequest): readonly Step[] {
  const asRoot = { why: `have ${root} as its root`, see: ['chroot(2)'] }
  return [
    ...(root === undefined
      ? []
      : [
          { call: fchdir(ROOT), ...asRoot },
          { call: chroot('.'), ...asRoot },
        ]),
    ...(workdir === undefined ? [] : [{ call: fchdir(WORKDIR), why: `start in ${workdir}`, see: ['fchdir(2)'] }]),
    ...(workdirInside === undefined ? [] : [startIn(workdirInside)]),
  ]
}

/** nsenter(1) becomes root of a user namespace that it enters, unless told not to. */
function planProcess({ uid, gid, namespaces, preservesCredentials }: NsenterRequest): readonly Step[] {
  const becomesRoot = namespaces.some(({ type }) => type === 'user') && !preservesCredentials
  const user = uid ?? (becomesRoot ? 0 : undefined)
  const group = gid ?? (becomesRoot ? 0 : undefined)
  const [leave, ...rest] = group === undefined ? [] : planGroup(group)
  return [
    // In a user namespace that denies it, its groups stay.
    ...(leave === undefined ? [] : [{ ...leave, tolerate: ['EPERM'] as const }]),
    ...rest,
    ...(user === undefined ? [] : [becomeUser(user)]),
  ]
}
