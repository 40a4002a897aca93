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

import { buffer } from '../linux/call.ts'
import { read } from '../linux/files.ts'
import { CLONE_NEWUSER, clone3, unshare } from '../linux/namespaces.ts'
import { P_PIDFD, waitid } from '../linux/process.ts'
import { planHooks } from './hooks.ts'
import type { Host } from './host.ts'
import { openHostProc } from './host-proc.ts'
import { allowMapping, becomeRoot, hide, idMapsOf, mapIds } from './idmap.ts'
import { type InitPlan, planInit } from './init.ts'
import { type NamespacePlan, planNamespaces } from './namespaces.ts'
import { planPidfdSocket } from './pidfd-socket.ts'
import type { Plan, Ref, Step } from './plan.ts'
import type { ContainerRequest } from './request.ts'
import { planSeccompListener } from './seccomp.ts'
import { INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { endProcess, INIT_EXIT, planStage, STAGE_PID } from './stage.ts'
import { planForget, planInitRecord, planPidFile, planStartFifo, planState } from './state.ts'
import { planConsoleSocket } from './terminal.ts'
import { hear, keepChildEnd, keepParentEnd, planTurns, tell } from './turns.ts'

export function planContainer(request: ContainerRequest, host: Host): Plan {
  const { id } = request.place
  const namespaces = planNamespaces({ ...request.config.linux, isHosts: request.isHosts })
  const init = planInit(request, namespaces, host)
  return {
    operation: `make container ${id}`,
    steps: [
      ...planState(request.place, request.stateSource),
      ...openHostProc,
      ...(request.ending === 'create' ? planStartFifo() : []),
      ...request.cgroup.create,
      ...request.cgroup.open,
      ...namespaces.open,
      ...init.before,
      ...(request.config.process.terminal ? planConsoleSocket(request.consoleSocket) : []),
      planTurns(),
      ...planProcesses(request, { namespaces, init, host }),
      ...planOutsideHooks(request),
      ...(init.notifies ? planAgent(request, host) : []),
      hear('executor', 'c', `have ${id} made up to its program`),
      ...planInitRecord(),
      ...(request.pidFile === undefined ? [] : planPidFile(request.pidFile)),
      ...(request.pidfdSocket === undefined ? [] : planPidfdSocket(request.pidfdSocket, INIT_PIDFD)),
      ...planEnding(request),
    ],
    returns: [INIT_PID],
    ...(request.ending === 'wait' ? { reads: [INIT_EXIT] } : {}),
  }
}

interface Parts {
  readonly namespaces: NamespacePlan
  readonly init: InitPlan
  readonly host: Host
}

function planProcesses(request: ContainerRequest, parts: Parts): readonly Step[] {
  return parts.namespaces.needsStage ? planThroughStage(request, parts) : planInitProcess(request, parts)
}

/** The common case: init is the child of the executor. */
function planInitProcess(request: ContainerRequest, { namespaces, init, host }: Parts): readonly Step[] {
  const { id } = request.place
  const userIsNew = namespaces.isNew('user')
  const pidfd = buffer('init-pidfd', 4)
  const { cloneInto } = request.cgroup
  return [
    ...(userIsNew ? allowMapping(host) : []),
    {
      call: clone3({ flags: namespaces.cloneFlags, pidfd, ...(cloneInto === undefined ? {} : { cgroup: cloneInto }) }),
      why: `make the first process of ${id} in its namespaces`,
      see: ['clone(2)', 'namespaces(7)'],
      into: INIT_PID,
      keep: [{ slot: INIT_PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [
        keepChildEnd,
        ...(userIsNew ? [hear('child', 'm', 'have ids in its user namespace'), ...becomeRoot] : []),
        ...init.steps,
      ],
      undo: endProcess(INIT_PIDFD, 'init'),
    },
    keepParentEnd,
    ...(userIsNew
      ? [
          ...mapIds(mapping(request, host, INIT_PID)),
          // The child has inherited it, and needs it no longer.
          ...(host.canMapIds ? [] : [hide]),
          tell('executor', 'm', 'tell init that it has ids'),
        ]
      : []),
  ]
}

const mapping = (request: ContainerRequest, host: Host, pid: typeof INIT_PID): Parameters<typeof mapIds>[0] => ({
  ...idMapsOf(request.config.linux),
  pid,
  canMapIds: host.canMapIds,
  hostUid: host.hostUid,
  hostGid: host.hostGid,
})

const SEE_USER: readonly Ref[] = ['user_namespaces(7)']

/** Namespaces of others are entered with the privilege of the caller, before a new user namespace takes that away. */
function planThroughStage(request: ContainerRequest, { namespaces, init, host }: Parts): readonly Step[] {
  const userIsNew = namespaces.isNew('user')
  const hasUser = userIsNew || namespaces.isJoined('user')
  const unshareUser: readonly Step[] = [
    { call: unshare(CLONE_NEWUSER), why: `give ${request.place.id} users of its own`, see: SEE_USER },
    tell('child', 'u', 'ask for ids'),
    hear('child', 'm', 'have ids in its user namespace'),
  ]
  const mapUser = (): readonly Step[] => [
    hear('executor', 'u', 'have a user namespace to map ids into'),
    ...mapIds(mapping(request, host, STAGE_PID)),
    tell('executor', 'm', 'tell the stage that it has ids'),
  ]
  const opensOwnFiles = userIsNew || namespaces.openOffsets.length > 0
  return planStage({
    of: request.place.id,
    cgroup: request.cgroup.cloneInto,
    enter: [
      ...(opensOwnFiles ? allowMapping(host) : []),
      ...namespaces.openOffsets,
      ...namespaces.join,
      ...(userIsNew ? unshareUser : []),
      ...(hasUser ? becomeRoot : []),
      ...namespaces.setOffsets,
    ],
    meanwhile: userIsNew ? mapUser() : [],
    cloneFlags: namespaces.cloneFlags,
    child: init.steps,
  })
}

/** prestart and createRuntime run outside, once the namespaces and mounts are there: oci:runtime-spec/config.md#posix-platform-hooks */
function planOutsideHooks(request: ContainerRequest): readonly Step[] {
  const { hooks } = request.config
  const steps = [
    ...planHooks('prestart', hooks.prestart, { ...hookState(request), status: 'creating', pid: INIT_PID }),
    ...planHooks('createRuntime', hooks.createRuntime, { ...hookState(request), status: 'creating', pid: INIT_PID }),
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
  return planSeccompListener({ listenerPath, listenerMetadata, state: hookState(request), status: 'creating' }, host)
}

const hookState = ({ config, bundle, place }: ContainerRequest) => ({
  id: place.id,
  bundle,
  annotations: config.annotations,
  ociVersion: config.ociVersion,
})

/** INIT_PID is told by a progress report, so that the caller can pass signals on. */
function planEnding(request: ContainerRequest): readonly Step[] {
  const { id } = request.place
  if (request.ending === 'create') return []
  const state = hookState(request)
  const started: readonly Step[] = [
    tell('executor', 's', `start ${id}`),
    {
      call: read(PARENT_END, buffer('turn', 1)),
      why: `see the program of ${id} take over`,
      see: ['execve(2)'],
      check: { result: 0, errno: 'ENOEXEC' },
    },
    ...planHooks('poststart', request.config.hooks.poststart, { ...state, status: 'running', pid: INIT_PID }),
  ]
  if (request.ending === 'detach') return started
  return [
    ...started,
    { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] },
    {
      call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT),
      why: `wait until ${id} ends`,
      see: ['waitid(2)'],
    },
    ...(request.keep ? [] : planRemoval(request)),
  ]
}

function planRemoval(request: ContainerRequest): readonly Step[] {
  return [
    ...request.cgroup.remove,
    ...planForget(request.place),
    ...planHooks('poststop', request.config.hooks.poststop, { ...hookState(request), status: 'stopped', pid: 0 }),
  ]
}
