/**
 * READ THIS FIRST: how a container is made, in order.
 *
 * Up to three processes take part, each a list of steps; `turns.ts` says how they wait for each other:
 *
 *     executor   keeps the host's view: state, cgroups, id maps, hooks of the runtime, the exit status
 *       └ stage  only if a namespace is joined or a clock is set: setns(2) and CLONE_NEWTIME take effect on children
 *       └ init   becomes the container's program: init.ts
 *
 * Each step says why it is there and, if it makes something that lasts, how that is taken back: a start that fails or is killed leaves
 * nothing. All paths inside the container are resolved below the descriptor ROOT (SECURITY-CHECKS S17, S18).
 */

import { type Buffer, buffer, type Slot } from '../linux/call.ts'
import { read } from '../linux/files.ts'
import { P_PIDFD, setsid, waitid } from '../linux/process.ts'
import { seeCaller } from './caller.ts'
import { LAST_LOOK, unlessDivided } from './cgroup-remove.ts'
import { openDenials } from './denials.ts'
import { endRelay, openEgress, planRelay } from './egress.ts'
import { planFirstProcess } from './first-process.ts'
import { heardHooks, hookState } from './hook-state.ts'
import { hookReads, planHookOutput, planHooks } from './hooks.ts'
import type { Host } from './host.ts'
import { openHostProc } from './host-proc.ts'
import { planInit } from './init.ts'
import { planMonitor } from './monitor.ts'
import { type NamespacePlan, planNamespaces } from './namespaces.ts'
import { planNetDevices } from './net-devices.ts'
import { planPidfdSocket } from './pidfd-socket.ts'
import type { Plan, Step } from './plan.ts'
import { planInherited, planOutside } from './process-outside.ts'
import type { ContainerRequest } from './request.ts'
import { planSeccompListener } from './seccomp.ts'
import { INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { INIT_EXIT } from './stage.ts'
import {
  letDirectoryGo,
  planForget,
  planInitRecord,
  planPidFile,
  planStartFifo,
  planState,
  STATE_LOOK,
  takingBackOwn,
  unlessRemoved,
} from './state.ts'
import { planStdio } from './stdio.ts'
import { accountsIn, openControl, planAccounts, planWatch, seeFileSystem, WATCH_READS, WATCHED } from './supervised.ts'
import { awaitCaller, planConsoleSocket } from './terminal.ts'
import { hear, planTurns, tell } from './turns.ts'
import { refuseUnsupported } from './unsupported.ts'

/** Throws `unsupported` for what coffer cannot do, naming the field. */
export function planContainer(request: ContainerRequest, host: Host): Plan {
  const { id } = request.place
  const { process, linux } = request.config
  refuseUnsupported(linux)
  const namespaces = planNamespaces({ ...linux, isHosts: request.isHosts })
  const init = planInit(request, namespaces, host)
  const ending = planEnding(request, namespaces)
  const hooks = heardHooks(request)
  const stdio = planStdio(request.stdio)
  const record = planRecording(request)
  return {
    operation: `make container ${id}`,
    steps: [
      seeCaller,
      ...(request.watch === undefined ? [] : [leaveSession]),
      ...(request.supervised === undefined ? [] : openControl(request.supervised)),
      ...record.take,
      ...(request.egress === undefined ? [] : openEgress(request.egress)),
      ...openHostProc,
      ...(Object.keys(hooks).length === 0 ? [] : [planHookOutput]),
      ...(request.ending === 'create' ? planStartFifo() : []),
      ...record.own(request.cgroup.create),
      ...record.letGo,
      ...request.cgroup.open,
      ...namespaces.open,
      ...init.before,
      ...(process.terminal ? planConsoleSocket(request.consoleSocket) : []),
      ...planInherited(process, host),
      ...stdio.open,
      ...(request.denials === undefined ? [] : openDenials(request.denials)),
      planTurns(),
      ...planFirstProcess({ request, namespaces, init, host }),
      ...(request.egress === undefined ? [] : planRelay(request.egress, request.cgroup, host)),
      ...stdio.leave,
      ...planNetDevices({ devices: request.netDevices, joinsHosts: request.isHosts('network'), host }),
      ...planOutsideHooks(request),
      ...(request.supervised?.measures === undefined ? [] : [seeFileSystem()]),
      ...(init.notifies ? planAgent(request, host) : []),
      ...init.watch,
      hear('executor', 'c', `have ${id} made up to its program`),
      ...planOutside({ process, pid: INIT_PID, isInit: true }, host),
      ...record.init,
      ...(request.pidFile === undefined ? [] : record.own(planPidFile(request.pidFile))),
      ...(request.pidfdSocket === undefined ? [] : planPidfdSocket(request.pidfdSocket, INIT_PIDFD)),
      seeCaller,
      ...ending.steps,
    ],
    returns: [INIT_PID, ...ending.returns],
    reads: [...hookReads(hooks), ...ending.reads],
  }
}

interface Recording {
  readonly take: readonly Step[]
  readonly letGo: readonly Step[]
  readonly init: readonly Step[]
  /** For what is made at paths that belong to the name. */
  readonly own: (steps: readonly Step[]) => readonly Step[]
}

/** Of a container that has a name, and files by which other commands find it. */
const planRecording = ({ place, stateSource }: ContainerRequest): Recording =>
  stateSource === undefined
    ? { take: [], letGo: [], init: [], own: (steps) => steps }
    : { take: planState(place, stateSource), letGo: [letDirectoryGo], init: planInitRecord(), own: takingBackOwn }

/** prestart and createRuntime run outside, once the namespaces and mounts are there: oci:runtime-spec/config.md#posix-platform-hooks */
function planOutsideHooks(request: ContainerRequest): readonly Step[] {
  const { hooks } = request.config
  const creating = { status: 'creating', pid: INIT_PID } as const
  const steps = [
    ...planHooks('prestart', hooks.prestart, { ...hookState(request, 'prestart'), ...creating }),
    ...planHooks('createRuntime', hooks.createRuntime, { ...hookState(request, 'createRuntime'), ...creating }),
  ]
  if (steps.length === 0) return []
  return [
    hear('executor', 'r', `have the root of ${request.place.id} ready`),
    ...steps,
    tell('executor', 'h', 'tell init that the hooks went well'),
  ]
}

/** The agent of linux.seccomp.listenerPath gets the filter's descriptor while init waits. seccomp_unotify(2) */
function planAgent(request: ContainerRequest, host: Host): readonly Step[] {
  const { listenerPath, listenerMetadata } = request.config.linux.seccomp ?? {}
  if (listenerPath === undefined) return []
  const { config, bundle, place } = request
  const state = { id: place.id, bundle, annotations: config.annotations, ociVersion: config.ociVersion }
  return planSeccompListener({ listenerPath, listenerMetadata, state, status: 'creating' }, host)
}

/** Whoever hangs up the terminal of the caller does not end what runs in the background. */
const leaveSession: Step = { call: setsid(), why: 'leave the session of the caller', see: ['setsid(2)'] }

interface EndingPlan {
  readonly steps: readonly Step[]
  readonly returns: readonly Slot[]
  readonly reads: readonly Buffer[]
}

/** INIT_PID is told by a progress report, so that the caller can pass signals on. */
function planEnding(request: ContainerRequest, namespaces: NamespacePlan): EndingPlan {
  const { id } = request.place
  if (request.ending === 'create')
    return { steps: [tell('executor', 'w', `leave ${id} waiting for start`)], returns: [], reads: [] }
  const { poststart } = request.config.hooks
  const started: readonly Step[] = [
    ...(request.ending === 'wait' ? awaitCaller(request.consoleSocket) : []),
    tell('executor', 's', `start ${id}`),
    {
      call: read(PARENT_END, buffer('turn', 1)),
      why: `see the program of ${id} take over`,
      see: ['execve(2)'],
      check: { result: 0, errno: 'ENOEXEC' },
    },
    ...planHooks('poststart', poststart, { ...hookState(request, 'poststart'), status: 'running', pid: INIT_PID }),
  ]
  if (request.ending === 'detach') return { steps: started, returns: [], reads: [] }
  const running: Step = { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] }
  if (request.watch !== undefined)
    return { steps: [...started, running, ...planMonitor(id, request.watch)], returns: [], reads: [] }
  const removal = request.keep || !endsAsOne(request, namespaces) ? undefined : planRemoval(request, namespaces)
  const { supervised } = request
  const wait: readonly Step[] =
    supervised === undefined
      ? [{ call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT), why: `wait until ${id} ends`, see: ['waitid(2)'] }]
      : [
          ...planWatch(supervised, id),
          ...(request.egress === undefined ? [] : endRelay),
          ...planAccounts(supervised, id),
        ]
  return {
    steps: [...started, running, ...wait, ...(removal?.steps ?? [])],
    returns: supervised === undefined ? [] : [WATCHED],
    reads: [
      ...(supervised === undefined ? [INIT_EXIT] : [...WATCH_READS, ...accountsIn(supervised)]),
      ...(removal?.reads ?? []),
    ],
  }
}

/**
 * Whether a plan can end what init leaves running. The kernel does where init was the first of a pid namespace, cgroup.kill of v2 elsewhere;
 * otherwise somebody has to look for pids.
 */
const endsAsOne = ({ cgroup }: ContainerRequest, namespaces: NamespacePlan): boolean =>
  namespaces.isNew('pid') || cgroup.kill.length > 0

function planRemoval(request: ContainerRequest, namespaces: NamespacePlan): Pick<EndingPlan, 'steps' | 'reads'> {
  const { poststop } = request.config.hooks
  const removal = [
    ...request.cgroup.remove,
    ...(request.stateSource === undefined ? [] : planForget(request.place)),
    ...planHooks('poststop', poststop, { ...hookState(request, 'poststop'), status: 'stopped', pid: 0 }),
  ]
  const steps = [...(namespaces.isNew('pid') ? [] : request.cgroup.kill), ...unlessDivided(request.cgroup, removal)]
  const isRecorded = request.stateSource !== undefined
  return {
    steps: isRecorded ? unlessRemoved(steps) : steps,
    reads: [
      ...hookReads({ poststop }),
      ...(Object.keys(request.cgroup.paths).length === 0 ? [] : [LAST_LOOK]),
      ...(isRecorded ? [STATE_LOOK] : []),
    ],
  }
}
