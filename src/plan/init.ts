/**
 * What the first process of a container does, in order, until it is the container's program.
 *
 * It begins with the host's files in sight and ends with the container's: what it needs of the host is opened before the root changes, and
 * what it holds is closed before it waits for `start`.
 */

import { OperationError } from '../base/errors.ts'
import { buffer, slot } from '../linux/call.ts'
import { chdir, chroot, close, read, write } from '../linux/files.ts'
import { getpid, PR_SET_PDEATHSIG, prctl } from '../linux/process.ts'
import { planDevices } from './devices.ts'
import { planEgress } from './egress.ts'
import { hookState } from './hook-state.ts'
import { HOOK_OUTPUT, planHooks } from './hooks.ts'
import type { Host } from './host.ts'
import { idMapsOf } from './idmap.ts'
import { refuseInactiveMountLabel } from './labels.ts'
import { planMasks } from './masks.ts'
import { planMounts } from './mounts.ts'
import { type NamespacePlan, namespaceFd, planNames, unshareCgroup } from './namespaces.ts'
import { awaitDevices } from './net-devices.ts'
import { planLoopback } from './network-lo.ts'
import { openOwnProgram } from './own-program.ts'
import type { Step } from './plan.ts'
import { planProgram } from './program.ts'
import type { ContainerRequest } from './request.ts'
import { hostMountsOf, planPivot, planRootfs } from './rootfs.ts'
import { CHILD_END, ROOT, START_FIFO } from './slots.ts'
import { planStdio } from './stdio.ts'
import { showFileSystem } from './supervised.ts'
import { planSysctl } from './sysctl.ts'
import { planConsole } from './terminal.ts'
import { beStarted, hear, tell } from './turns.ts'

export interface InitPlan {
  /** For the executor, before it makes init. */
  readonly before: readonly Step[]
  /** In the joined namespaces, before a new user namespace. */
  readonly foreign: readonly Step[]
  readonly steps: readonly Step[]
  /** The executor has to hand the listener of the seccomp filter over. */
  readonly notifies: boolean
  readonly watch: readonly Step[]
}

export function planInit(request: ContainerRequest, namespaces: NamespacePlan, host: Host): InitPlan {
  const { config, place, ending } = request
  const { process, linux } = config
  const { createContainer, startContainer } = config.hooks
  const waitsForStart = ending === 'create'
  const runsHooks = startContainer.length > 0
  const root = planRoot(request, namespaces, host)
  const program = planProgram(
    {
      ...request,
      id: place.id,
      process,
      linux,
      isInit: true,
      runsHooks,
      keeps: [CHILD_END, ...(waitsForStart ? [START_FIFO] : []), ...(runsHooks && !waitsForStart ? [HOOK_OUTPUT] : [])],
    },
    host,
  )
  return {
    before: [...root.before, ...(request.ownProgram === undefined ? [] : openOwnProgram(request.ownProgram))],
    foreign: root.foreign,
    notifies: program.notifies,
    watch: program.watch,
    steps: [
      ...(createContainer.length + startContainer.length === 0 ? [] : [learnPid]),
      ...request.cgroup.join,
      ...(namespaces.isNew('cgroup') ? [unshareCgroup] : []),
      ...planNames(config),
      ...(namespaces.isNew('network') ? planLoopback : []),
      ...(request.egress === undefined ? [] : planEgress(request.egress)),
      ...(linux.netDevices.length === 0 ? [] : [awaitDevices]),
      ...planSysctl(linux.sysctl, request.isHosts),
      ...root.steps,
      ...(request.supervised?.measures === undefined ? [] : [showFileSystem(request.supervised.measures)]),
      ...planStdio(request.stdio).take,
      ...program.prepare,
      tell('child', 'c', 'tell that only the program is missing'),
      ...(waitsForStart ? waitForStart : [beStarted]),
      ...(request.supervised === undefined ? [] : [dieWithParent]),
      ...planHooks('startContainer', startContainer, {
        ...hookState(request, 'startContainer'),
        status: 'created',
        pid: OWN_PID,
        env: process.env,
      }),
      ...program.become,
    ],
  }
}

/** Behind the last change of ids, which would undo it; an execve that gives no privilege does not. PR_SET_PDEATHSIG(2const) */
export const dieWithParent: Step = {
  call: prctl(PR_SET_PDEATHSIG, 9),
  why: 'end with the executor that watches it',
  see: ['PR_SET_PDEATHSIG(2const)'],
}

const OWN_PID = slot('own-pid')

/** Hooks inside of the container are told the pid that they would see: oci:runtime-spec/runtime.md#state */
const learnPid: Step = {
  call: getpid(),
  why: 'know the pid that it has for its hooks',
  see: ['getpid(2)'],
  into: OWN_PID,
}

/** Once the executor is gone nothing of it is held any more; the fifo is closed by execve. */
const waitForStart: readonly Step[] = [
  // Until then it ends with the executor: without a cgroup only the record would say who it is.
  hear('child', 'w', 'be recorded'),
  { call: close(CHILD_END), why: 'hold nothing of the executor', see: ['close(2)'] },
  {
    call: read(START_FIFO, buffer('start', 1)),
    why: 'wait for start',
    see: ['oci:runtime-spec/runtime.md#start', 'fifo(7)'],
    undo: [{ call: write(START_FIFO, 'x', 1), why: 'tell start that there is no program', see: ['fifo(7)'] }],
  },
]

/** The file system of the container, from the host's tree at `/` to the container's. */
function planRoot(
  request: ContainerRequest,
  namespaces: NamespacePlan,
  host: Host,
): Pick<InitPlan, 'before' | 'foreign' | 'steps'> {
  const { config, bundle, rootfs } = request
  const { linux, process } = config
  refuseInactiveMountLabel(linux.mountLabel, host)
  if (!namespaces.isNew('mount')) return { before: [], foreign: [], steps: planSharedRoot(request, namespaces, host) }
  const isInUserNamespace = namespaces.isNew('user') || namespaces.isJoined('user')
  // The root of a new user namespace may not be let through directories of the host that the caller may enter.
  const sourcesOpenedBy = isInUserNamespace && !host.isRootless ? 'executor' : 'init'
  const hostMounts = hostMountsOf(linux.rootfsPropagation)
  const root = planRootfs({ path: rootfs, hostMounts, sourcesOpenedBy })
  const mounts = planMounts(
    {
      mounts: config.mounts,
      bundle,
      namespaces,
      hostMounts,
      sourcesOpenedBy,
      idMaps: idMapsOf(config.linux),
      ...(namespaces.isJoined('user') ? { userNamespace: namespaceFd('user') } : {}),
      cgroup: request.cgroup,
      label: linux.mountLabel,
      pathsToCover: [...linux.maskedPaths, ...linux.readonlyPaths],
      rootfs,
      hostParts: request.hostParts,
      listTree: request.listTree,
      behindLinks: request.behindLinks,
    },
    host,
  )
  const { places } = mounts
  const devices = planDevices(
    {
      devices: linux.devices,
      mounts: config.mounts,
      places,
      // Coffer may be in a user namespace itself, even if the container has none.
      isInUserNamespace: isInUserNamespace || host.isRootless,
    },
    host,
  )
  return {
    before: [...root.before, ...mounts.before],
    foreign: mounts.foreign,
    steps: [
      ...root.steps,
      ...mounts.steps,
      ...devices.steps,
      ...(process.terminal ? planConsole({ root: ROOT, size: process.consoleSize, uid: process.user.uid }, host) : []),
      ...mounts.finish,
      ...planMasks({ ...linux, places, ...(devices.nullIn === undefined ? {} : { nullIn: devices.nullIn }) }, host),
      ...planHooksOfCreate(request),
      ...planPivot({
        readonly: config.root.readonly,
        noPivot: request.noPivot,
        propagation: linux.rootfsPropagation,
        rootMounts: mounts.rootMounts,
      }),
    ],
  }
}

/** Hooks of the runtime namespace run outside, while init waits: container.ts. Then its own, which are found in the host's tree. */
function planHooksOfCreate(request: ContainerRequest): readonly Step[] {
  const { config, place } = request
  const { prestart, createRuntime, createContainer } = config.hooks
  const wait: readonly Step[] = [
    tell('child', 'r', `tell that the root of ${place.id} is ready`),
    hear('child', 'h', 'have the hooks run'),
  ]
  return [
    ...(prestart.length + createRuntime.length === 0 ? [] : wait),
    ...planHooks('createContainer', createContainer, {
      ...hookState(request, 'createContainer'),
      status: 'creating',
      pid: OWN_PID,
    }),
  ]
}

/**
 * Without a mount namespace of its own a container can only change its root; every mount would be one of the host. The namespace of another
 * has a root already, and its mounts are that other's.
 */
function planSharedRoot(request: ContainerRequest, namespaces: NamespacePlan, host: Host): readonly Step[] {
  const { config, rootfs } = request
  const joins = namespaces.isJoined('mount')
  refuseOwnTree(config, joins ? 'joins one that exists' : 'has none')
  // Where the host's tree is gone, a path of the host would lead to a program of the container.
  if (joins && config.hooks.createContainer.length > 0)
    throw needsOwnTree('hooks.createContainer', 'joins one that exists')
  const { terminal, consoleSize, user } = config.process
  const console = terminal ? planConsole({ size: consoleSize, uid: user.uid }, host) : []
  const why = 'see only its own files'
  const changeRoot: readonly Step[] = [
    { call: chdir(rootfs), why, see: ['chroot(2)'] },
    { call: chroot('.'), why, see: ['chroot(2)'] },
  ]
  return [...console, ...planHooksOfCreate(request), ...(joins ? [] : changeRoot)]
}

function refuseOwnTree({ mounts, root, linux }: ContainerRequest['config'], reason: string): void {
  const fields: readonly (readonly [string, boolean])[] = [
    ['mounts', mounts.length > 0],
    ['root.readonly', root.readonly],
    ['linux.devices', linux.devices.length > 0],
    ['linux.maskedPaths', linux.maskedPaths.length > 0],
    ['linux.readonlyPaths', linux.readonlyPaths.length > 0],
    ['linux.rootfsPropagation', linux.rootfsPropagation !== undefined],
  ]
  const [field] = fields.find(([, isGiven]) => isGiven) ?? []
  if (field !== undefined) throw needsOwnTree(field, reason)
}

const needsOwnTree = (field: string, reason: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'give the container a tree of its own',
    reason: `${field} needs a new mount namespace, and linux.namespaces ${reason}`,
    hint: `have {"type": "mount"} without a path in linux.namespaces, or leave ${field} out`,
    see: ['mount_namespaces(7)'],
  })
