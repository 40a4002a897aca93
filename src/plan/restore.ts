/**
 * restore: criu makes the processes of a container anew from images, and they go on where they were.
 *
 * It runs in a mount namespace of its own, in which the root file system is a mount as criu wants it, and which nobody else sees; and in the
 * cgroup of the container, so that whatever happens nothing is anywhere else. It leaves init behind as a sibling, that is as a child of the
 * executor, who records it like any other init.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { AT_FDCWD, dup3, fchownat, read } from '../linux/files.ts'
import { joinSessionKeyring } from '../linux/keyring.ts'
import {
  attachAt,
  cloneTree,
  MOUNT_ATTR_RDONLY,
  MS_REC,
  MS_SLAVE,
  mountSetattr,
  setPropagation,
} from '../linux/mount.ts'
import { CLONE_NEWNS, unshare } from '../linux/namespaces.ts'
import {
  getpid,
  P_PIDFD,
  PR_SET_NO_NEW_PRIVS,
  pidfdOpen,
  prctl,
  umask,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  waitid,
} from '../linux/process.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import type { Process } from '../oci/process.ts'
import { seeCaller } from './caller.ts'
import type { CgroupPlan } from './cgroup.ts'
import {
  type Criu,
  type CriuOptions,
  commonArguments,
  criuReads,
  makeWorkDirectory,
  planCriu,
  RESTORE_LOG,
} from './criu.ts'
import type { Host } from './host.ts'
import { openHostProc } from './host-proc.ts'
import { type NamespacePlan, namespaceFd, unshareCgroup } from './namespaces.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { planScheduling } from './scheduling.ts'
import { INIT_PID, INIT_PIDFD, ROOT } from './slots.ts'
import { endProcess, INIT_EXIT } from './stage.ts'
import {
  letDirectoryGo,
  planInitRecord,
  planPidFile,
  planState,
  type StatePlace,
  stateDirectory,
  takingBackOwn,
  unlessRemoved,
} from './state.ts'
import { planTarget } from './targets.ts'

export interface RestoreOptions extends CriuOptions {
  /** `apparmor:NAME` or `selinux:CONTEXT`. */
  readonly lsmProfile?: string | undefined
  readonly lsmMountContext?: string | undefined
}

export interface RestoreRequest {
  readonly place: StatePlace
  /** The executor's descriptor of the text of `state.json`. */
  readonly stateSource: number
  /** The executor's descriptor from which it reads the pid of init, 4 bytes, once it has reported that there is one. */
  readonly pidSource: number
  readonly criu: Criu
  readonly cgroup: CgroupPlan
  readonly rootfs: string
  readonly isReadonly: boolean
  readonly process: Pick<Process, 'noNewPrivileges' | 'ioPriority'>
  /** Root of the container's user namespace as the host knows it; undefined where that is the host's. */
  readonly root?: { readonly hostUid: number; readonly hostGid: number } | undefined
  /** Where in the image something will be mounted. */
  readonly mountPoints: readonly { readonly path: string; readonly kind: 'file' | 'directory' }[]
  /** What criu finds outside: the words of `--external`. */
  readonly external: readonly string[]
  /** Descriptors of the caller that take the place of those that init was given: the words of `--inherit-fd`. */
  readonly inherited: readonly string[]
  readonly namespaces: Pick<NamespacePlan, 'open' | 'isNew'>
  /** Namespaces of others that the container is in, by the keys of criu. */
  readonly joined: readonly { readonly type: NamespaceType; readonly key: string }[]
  /** Where the cgroup of the container is now, by controller: the words of `--cgroup-root`. */
  readonly cgroupRoots: readonly string[]
  readonly options: RestoreOptions
  readonly pidFile?: string | undefined
  /** End with init. */
  readonly waits: boolean
}

/** Why criu is run: the operation of the error if it fails. */
export const restoreWhy = (id: string): string => `restore ${id}`

/** The executor as the procfs of the host knows it. */
export const EXECUTOR_PID: Slot = slot('executor-pid')

export function planRestore(request: RestoreRequest, host: Host): Plan {
  const { place, cgroup, pidFile } = request
  const why = restoreWhy(place.id)
  return {
    operation: why,
    steps: [
      seeCaller,
      ...planState(place, request.stateSource),
      ...openHostProc,
      ...takingBackOwn(cgroup.create),
      letDirectoryGo,
      ...cgroup.open,
      ...request.namespaces.open,
      ...makeWorkDirectory(request.options),
      ...letRootIn(request),
      ...planCriu({
        criu: request.criu,
        args: restoreArguments(request),
        why,
        cgroup: cgroup.cloneInto,
        before: prepareCriu(request, host),
        keeps: request.joined.length,
      }),
      ...learnInit(request),
      ...planInitRecord(),
      ...(pidFile === undefined ? [] : takingBackOwn(planPidFile(pidFile))),
      seeCaller,
      ...(request.waits ? awaitInit(place.id) : []),
    ],
    returns: [EXECUTOR_PID, INIT_PID],
    reads: [...criuReads, ...(request.waits ? [INIT_EXIT] : [])],
  }
}

const FIRST_KEPT = 3

/** The words behind `criu`. */
export function restoreArguments(request: RestoreRequest): readonly string[] {
  const { criu, options, place } = request
  const { lsmProfile, lsmMountContext } = options
  const inherited = [
    ...request.joined.map(({ key }, index) => `fd[${FIRST_KEPT + index}]:${key}`),
    ...request.inherited,
  ]
  return [
    'restore',
    ...commonArguments(criu, options, RESTORE_LOG),
    ...['--root', rootOf(place)],
    ...['--restore-detached', '--restore-sibling'],
    // A device that the container had open may be at another path now, or at none.
    '--evasive-devices',
    ...(options.cgroupMode === 'ignore' ? [] : request.cgroupRoots.flatMap((root) => ['--cgroup-root', root])),
    ...(lsmProfile === undefined ? [] : ['--lsm-profile', lsmProfile]),
    ...(lsmMountContext === undefined ? [] : ['--lsm-mount-context', lsmMountContext]),
    ...inherited.flatMap((one) => ['--inherit-fd', one]),
    ...request.external.flatMap((one) => ['--external', one]),
  ]
}

/** What is restored reads the images as the root of its user namespace, who is nobody here; that it may not, still keeps all others out. */
function letRootIn({ root, options, place }: RestoreRequest): readonly Step[] {
  if (root === undefined) return []
  return [
    {
      call: fchownat(AT_FDCWD, options.imagesDirectory, root.hostUid, root.hostGid),
      why: `let the root of ${place.id} find its images`,
      see: ['user_namespaces(7)'],
    },
  ]
}

/** criu wants a root that is a mount, and not on top of another one: a directory of our own is, in a mount namespace of criu's own. */
const rootOf = stateDirectory

function prepareCriu(request: RestoreRequest, { architecture }: Host): readonly Step[] {
  const { place, rootfs } = request
  const see: readonly Ref[] = ['mount_namespaces(7)', 'criu(8)']
  return [
    ...request.cgroup.join,
    // Left to itself criu would show the container all cgroups of the host.
    ...(request.options.cgroupMode === 'ignore' && request.namespaces.isNew('cgroup') ? [unshareCgroup] : []),
    ...planInheritance(request.process),
    {
      call: joinSessionKeyring(`_ses.${place.id}`),
      why: 'have no key of the caller at hand in what is restored',
      see: ['session-keyring(7)', 'KEYCTL_JOIN_SESSION_KEYRING(2const)'],
      // Without keyrings there is nothing to hide; where a filter around coffer denies keyctl(2), what is restored has that filter, too.
      tolerate: ['ENOSYS', 'EPERM'],
    },
    { call: unshare(CLONE_NEWNS), why: 'mount the root of the container where only criu sees it', see },
    { call: setPropagation('/', MS_SLAVE | MS_REC), why: 'keep these mounts from the host', see },
    {
      call: cloneTree(AT_FDCWD, rootfs, { recursive: true }),
      why: `take ${rootfs} as the root of the container (root.path)`,
      see: ['open_tree(2)', 'oci:runtime-spec/config.md#root'],
      into: ROOT,
    },
    { call: umask(0), why: 'make files with just the modes that are given', see: ['umask(2)'] },
    ...makeMountPoints(request, architecture),
    { call: umask(USUAL_UMASK), why: 'let criu make its files as usual', see: ['umask(2)'] },
    ...(request.isReadonly ? [makeReadonly] : []),
    {
      call: attachAt(ROOT, AT_FDCWD, rootOf(place)),
      why: 'have the root as a mount, as criu wants it',
      see: ['move_mount(2)', 'criu(8)'],
    },
    ...request.joined.map(
      ({ type }, index): Step => ({
        call: dup3(namespaceFd(type), FIRST_KEPT + index),
        why: `let criu enter the ${type} namespace that the container joins`,
        see: ['criu(8)'],
      }),
    ),
  ]
}

const USUAL_UMASK = 0o022

/** What criu 3.17 does not know of, and so does not restore: what it makes inherits it from criu itself. */
const planInheritance = ({ noNewPrivileges, ioPriority }: RestoreRequest['process']): readonly Step[] => [
  ...planScheduling({ ioPriority }, 0),
  ...(noNewPrivileges
    ? [
        {
          call: prctl(PR_SET_NO_NEW_PRIVS, 1),
          why: 'have what is restored gain nothing from set-user-ID programs and file capabilities',
          see: ['PR_SET_NO_NEW_PRIVS(2const)'],
        },
      ]
    : []),
]

const makeReadonly: Step = {
  call: mountSetattr(ROOT, { set: MOUNT_ATTR_RDONLY }),
  why: 'make the root of the container read-only (root.readonly)',
  see: ['mount_setattr(2)', 'oci:runtime-spec/config.md#root'],
}

/** criu mounts on what is there; in an image that was not the container's before, that may be missing. */
const makeMountPoints = ({ mountPoints }: RestoreRequest, architecture: Host['architecture']): readonly Step[] =>
  mountPoints.flatMap(
    ({ path, kind }) =>
      planTarget({ path, kind, purpose: `the mount of ${path}`, places: new Map(), architecture }).steps,
  )

/**
 * The pid of init is text in procfs, which a plan cannot read as a number: the caller is told that init is there, and answers with its pid. It
 * is a child of the executor beyond doubt, or the plan fails.
 */
function learnInit({ place, pidSource, cgroup }: RestoreRequest): readonly Step[] {
  const pid = buffer('init-pid', 4)
  const why = `learn which process is the init of ${place.id}`
  return [
    {
      call: getpid(),
      why: 'know whose child init is',
      see: ['getpid(2)'],
      into: EXECUTOR_PID,
      undo: cgroup.kill.length === 0 ? [] : unlessRemoved(cgroup.kill),
    },
    { call: { name: 'report', args: [] }, why: 'tell that init is there', see: [] },
    {
      call: read(pidSource, pid),
      why,
      see: ['proc_pid_task(5)'],
      check: { result: 4, errno: 'ESRCH' },
      keep: [{ slot: INIT_PID, in: pid, offset: 0, sizeBytes: 4 }],
    },
    {
      call: pidfdOpen(INIT_PID),
      why: 'hold on to init beyond its pid',
      see: ['pidfd_open(2)'],
      into: INIT_PIDFD,
      undo: endProcess(INIT_PIDFD, 'init'),
    },
    // Only of a child, and without an end that it may have had already: ECHILD otherwise.
    { call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT, WEXITED | WNOHANG | WNOWAIT), why, see: ['waitid(2)'] },
  ]
}

/** INIT_PID is told by a progress report, so that the caller can pass signals on. */
const awaitInit = (id: string): readonly Step[] => [
  { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] },
  { call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT), why: `wait until ${id} ends`, see: ['waitid(2)'] },
]
