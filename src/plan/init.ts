/**
 * What the first process of a container does, in order, until it is the container's program.
 *
 * It begins with the host's files in sight and ends with the container's: what it needs of the host is opened before the root changes, and
 * what it holds is closed before it waits for `start`.
 */

import { OperationError } from '../base/errors.ts'
import { buffer } from '../linux/call.ts'
import { chdir, chroot, close, read } from '../linux/files.ts'
import { planDevices } from './devices.ts'
import { planHooks } from './hooks.ts'
import type { Host } from './host.ts'
import { idMapsOf } from './idmap.ts'
import { planMasks } from './masks.ts'
import { planMounts } from './mounts.ts'
import { type NamespacePlan, namespaceFd, planNames, unshareCgroup } from './namespaces.ts'
import { planLoopback } from './network-lo.ts'
import type { Step } from './plan.ts'
import { planProgram } from './program.ts'
import type { ContainerRequest } from './request.ts'
import { hostMountsOf, planPivot, planRootfs } from './rootfs.ts'
import { CHILD_END, INIT_PID, ROOT, START_FIFO } from './slots.ts'
import { planSysctl } from './sysctl.ts'
import { planConsole } from './terminal.ts'
import { beStarted, hear, tell } from './turns.ts'

export interface InitPlan {
  /** For the executor, before it makes init. */
  readonly before: readonly Step[]
  readonly steps: readonly Step[]
  /** The executor has to hand the listener of the seccomp filter over. */
  readonly notifies: boolean
}

export function planInit(request: ContainerRequest, namespaces: NamespacePlan, host: Host): InitPlan {
  const { config, place, ending } = request
  const { process, linux } = config
  const waitsForStart = ending === 'create'
  const root = planRoot(request, namespaces, host)
  const program = planProgram(
    {
      ...request,
      id: place.id,
      process,
      linux,
      isInit: true,
      keeps: waitsForStart ? [CHILD_END, START_FIFO] : [CHILD_END],
    },
    host,
  )
  return {
    before: root.before,
    notifies: program.notifies,
    steps: [
      ...request.cgroup.join,
      ...(namespaces.isNew('cgroup') ? [unshareCgroup] : []),
      ...planNames(config),
      ...(namespaces.isNew('network') ? planLoopback : []),
      ...planSysctl(linux.sysctl, request.isHosts),
      ...root.steps,
      ...program.prepare,
      tell('child', 'c', 'tell that only the program is missing'),
      ...(waitsForStart ? waitForStart : [beStarted]),
      ...planHooks('startContainer', config.hooks.startContainer, {
        ...hookState(request),
        status: 'created',
        pid: 1,
        env: process.env,
      }),
      ...program.become,
    ],
  }
}

/** Once the executor is gone nothing of it is held any more; the fifo is closed by execve. */
const waitForStart: readonly Step[] = [
  { call: close(CHILD_END), why: 'hold nothing of the executor', see: ['close(2)'] },
  {
    call: read(START_FIFO, buffer('start', 1)),
    why: 'wait for start',
    see: ['oci:runtime-spec/runtime.md#start', 'fifo(7)'],
  },
]

const hookState = ({ config, bundle, place }: ContainerRequest) => ({
  id: place.id,
  bundle,
  annotations: config.annotations,
  ociVersion: config.ociVersion,
})

/** The file system of the container, from the host's tree at `/` to the container's. */
function planRoot(
  request: ContainerRequest,
  namespaces: NamespacePlan,
  host: Host,
): { readonly before: readonly Step[]; readonly steps: readonly Step[] } {
  const { config, bundle, rootfs } = request
  const { linux, process } = config
  // The namespace of another has a root already, and its mounts are that other's.
  if (namespaces.isJoined('mount')) return { before: [], steps: [] }
  if (!namespaces.isNew('mount')) return { before: [], steps: planChroot(request) }
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
      listTree: request.listTree,
    },
    host,
  )
  const { places } = mounts
  const devices = planDevices({ devices: linux.devices, mounts: config.mounts, places, isInUserNamespace }, host)
  return {
    before: [...root.before, ...mounts.before],
    steps: [
      ...root.steps,
      ...mounts.steps,
      ...devices.steps,
      ...(process.terminal ? planConsole({ root: ROOT, size: process.consoleSize, uid: process.user.uid }, host) : []),
      ...mounts.finish,
      ...planMasks({ ...linux, places, ...(devices.nullIn === undefined ? {} : { nullIn: devices.nullIn }) }, host),
      ...planHookTurn(request),
      ...planHooks('createContainer', config.hooks.createContainer, {
        ...hookState(request),
        status: 'creating',
        pid: INIT_PID,
      }),
      ...planPivot({ readonly: config.root.readonly, noPivot: request.noPivot, propagation: linux.rootfsPropagation }),
    ],
  }
}

/** Hooks of the runtime namespace run outside, while init waits: container.ts. */
function planHookTurn({ config, place }: ContainerRequest): readonly Step[] {
  const { prestart, createRuntime } = config.hooks
  if (prestart.length + createRuntime.length === 0) return []
  return [tell('child', 'r', `tell that the root of ${place.id} is ready`), hear('child', 'h', 'have the hooks run')]
}

/** Without a mount namespace of its own a container can only change its root; every mount would be one of the host. */
function planChroot({ config, rootfs }: ContainerRequest): readonly Step[] {
  if (config.mounts.length > 0 || config.root.readonly)
    throw new OperationError({
      kind: 'invalid',
      operation: 'mount in the container',
      reason: `${config.root.readonly ? 'root.readonly' : 'mounts'} needs a mount namespace, and linux.namespaces has none`,
      hint: 'add {"type": "mount"} to linux.namespaces',
      see: ['mount_namespaces(7)'],
    })
  const why = 'see only its own files'
  return [
    { call: chdir(rootfs), why, see: ['chroot(2)'] },
    { call: chroot('.'), why, see: ['chroot(2)'] },
  ]
}
