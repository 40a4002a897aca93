/**
 * exec: how a process is added to a container, in order.
 *
 * The stage enters the container's cgroups and then its namespaces, all at once through a pidfd of init; its child becomes the program.
 * Until that moment it is not dumpable, and holds nothing of the host but its standard descriptors (SECURITY-CHECKS S4, S9).
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { chroot, close, fchdir, O_PATH, openat, read } from '../linux/files.ts'
import { setns } from '../linux/namespaces.ts'
import { P_PIDFD, pidfdOpen, pidfdSendSignal, waitid } from '../linux/process.ts'
import type { Linux } from '../oci/linux.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import type { Process } from '../oci/process.ts'
import { seeCaller } from './caller.ts'
import type { CgroupJoin } from './cgroup-join.ts'
import { type DenialsRequest, openDenials } from './denials.ts'
import type { Host } from './host.ts'
import { openHostProc } from './host-proc.ts'
import { becomeRoot } from './idmap.ts'
import { leaveGroups, NAMESPACE_FLAGS } from './namespaces.ts'
import { planPidfdSocket } from './pidfd-socket.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { planInherited, planOutside } from './process-outside.ts'
import { planProgram } from './program.ts'
import { planRelay, type Relay } from './relay.ts'
import { planInitialAffinity } from './scheduling.ts'
import { type ListenerRequest, planSeccompListener } from './seccomp.ts'
import { CHILD_END, HOST_PROC, INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { BE_KNOWN, INIT_EXIT, planStage } from './stage.ts'
import { planPidFile } from './state.ts'
import { planStdio, type Stdio } from './stdio.ts'
import { openControl, planWatch, type Supervised, WATCH_READS, WATCHED } from './supervised.ts'
import { awaitCaller, planConsoleSocket } from './terminal.ts'
import { beStarted, hear, planTurns, tell } from './turns.ts'

export interface ExecPlanRequest {
  readonly id: string
  readonly process: Process
  readonly linux: Linux
  readonly initPid: number
  /** The container, for the agent of a seccomp filter. */
  readonly state: Omit<ListenerRequest['state'], 'id'>
  /** The executor's descriptor of a pidfd of init; undefined if the caller knows that init is not reaped before the process is made. */
  readonly initPidfd: number | undefined
  /** The namespaces of init that coffer is not in itself. */
  readonly enters: readonly NamespaceType[]
  readonly cgroup: CgroupJoin
  readonly wait: boolean
  /** Where the process reads and writes; where the executor does, if undefined. */
  readonly stdio?: Stdio | undefined
  /** Only with `wait`: who else may end the process. */
  readonly supervised?: Supervised | undefined
  readonly pidFile?: string | undefined
  readonly pidfdSocket?: string | undefined
  readonly consoleSocket?: string | number | undefined
  /** Instead, only with `wait`: who relays its terminal. */
  readonly relay?: Relay | undefined
  readonly listenFds: number
  readonly preserveFds: number
  readonly home?: string | undefined
  /** Who hears what its filter denies. */
  readonly denials?: DenialsRequest | undefined
}

export function planExec(request: ExecPlanRequest, host: Host): Plan {
  const { id, process } = request
  const stdio = planStdio(request.stdio)
  const relay = planRelay(id, request.relay)
  const program = planProgram(
    { ...request, isInit: false, runsHooks: false, noNewKeyring: false, keeps: [CHILD_END] },
    host,
  )
  return {
    operation: `run ${process.args[0] ?? ''} in ${id}`,
    steps: [
      ...(request.supervised === undefined ? [] : openControl(request.supervised)),
      ...openHostProc,
      ...(request.initPidfd === undefined ? [openInit(request)] : []),
      ...request.cgroup.open,
      ...planConsoleSocket(request.consoleSocket),
      ...relay.open,
      ...planInherited(process, host),
      // Its parent makes it there; the cpuset of the container is another one.
      ...planInitialAffinity(process, 0),
      ...stdio.open,
      ...(request.denials === undefined ? [] : openDenials(request.denials)),
      planTurns(),
      ...planStage({
        of: `the process in ${id}`,
        cgroup: request.cgroup.cloneInto,
        enter: [...request.cgroup.join, ...planEnter(request)],
        meanwhile: [],
        cloneFlags: 0,
        child: [
          ...stdio.take,
          // With an agent it says something while it prepares itself.
          ...(program.notifies ? [BE_KNOWN, ...program.prepare] : [...program.prepare, BE_KNOWN]),
          tell('child', 'c', 'tell that only the program is missing'),
          beStarted,
          ...program.become,
        ],
      }),
      ...stdio.leave,
      ...(program.notifies ? planAgent(request, host) : []),
      ...program.watch,
      hear('executor', 'c', 'have the process made up to its program'),
      ...planOutside({ process, pid: INIT_PID, isInit: false }, host),
      ...relay.start,
      ...(request.pidFile === undefined ? [] : planPidFile(request.pidFile)),
      ...(request.pidfdSocket === undefined ? [] : planPidfdSocket(request.pidfdSocket, INIT_PIDFD)),
      seeCaller,
      ...planEnding(request),
      ...relay.end,
    ],
    returns: [INIT_PID, ...(request.supervised === undefined ? [] : [WATCHED])],
    ...(request.wait ? { reads: request.supervised === undefined ? [INIT_EXIT] : WATCH_READS } : {}),
  }
}

/** The agent of linux.seccomp.listenerPath gets the filter's descriptor while the process waits. seccomp_unotify(2) */
function planAgent({ id, linux, state, initPid }: ExecPlanRequest, host: Host): readonly Step[] {
  const { listenerPath, listenerMetadata } = linux.seccomp ?? {}
  if (listenerPath === undefined) return []
  const request = { listenerPath, listenerMetadata, state: { ...state, id }, containerPid: initPid }
  return planSeccompListener({ ...request, status: 'running' }, host)
}

const CONTAINER_PIDFD = slot('container-pidfd')

const openInit = ({ id, initPid }: ExecPlanRequest): Step => ({
  call: pidfdOpen(initPid),
  why: `reach ${id}`,
  see: ['pidfd_open(2)'],
  into: CONTAINER_PIDFD,
})

function planEnter({ id, initPid, initPidfd: given, enters }: ExecPlanRequest): readonly Step[] {
  const initPidfd = given ?? CONTAINER_PIDFD
  const flags = enters.reduce((sum, type) => sum + NAMESPACE_FLAGS[type], 0)
  const hasUser = enters.includes('user')
  const call = setns(initPidfd, flags)
  const changesRoot = !enters.includes('mount')
  return [
    ...(changesRoot ? openRoot(initPid, initPidfd) : []),
    ...(hasUser ? [leaveGroups] : []),
    ...(flags === 0 ? [] : [{ call, why: `enter the namespaces of ${id}`, see: ['setns(2)', 'pidfd_open(2)'] }]),
    ...(hasUser ? becomeRoot : []),
    ...(changesRoot ? enterRoot : []),
  ]
}

/** setns(2) into a mount namespace makes its root that of the process; a container without one of its own has a root in that of the host. */
const ROOT_OF_INIT = slot('init-root')
const SEE_ROOT: readonly Ref[] = ['chroot(2)', 'proc_pid_root(5)']
const WHY_ROOT = 'see only the files of the container'

const openRoot = (pid: number, pidfd: number | Slot): readonly Step[] => [
  { call: openat(HOST_PROC, `${pid}/root`, O_PATH), why: WHY_ROOT, see: SEE_ROOT, into: ROOT_OF_INIT },
  {
    call: pidfdSendSignal(pidfd, 0),
    why: 'be sure that it is the root of init, and of no later process with its pid',
    see: ['pidfd_send_signal(2)'],
  },
]

const enterRoot: readonly Step[] = [
  { call: fchdir(ROOT_OF_INIT), why: WHY_ROOT, see: SEE_ROOT },
  { call: chroot('.'), why: WHY_ROOT, see: SEE_ROOT },
  { call: close(ROOT_OF_INIT), why: 'hold nothing of the host', see: ['close(2)'] },
]

function planEnding({ id, wait, supervised, consoleSocket }: ExecPlanRequest): readonly Step[] {
  const started: readonly Step[] = [
    ...(wait ? awaitCaller(consoleSocket) : []),
    tell('executor', 's', 'start the program'),
    {
      call: read(PARENT_END, buffer('turn', 1)),
      why: 'see the program take over',
      see: ['execve(2)'],
      check: { result: 0, errno: 'ENOEXEC' },
    },
  ]
  if (!wait) return started
  const awaitEnd: Step = {
    call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT),
    why: `wait until the process in ${id} ends`,
    see: ['waitid(2)'],
  }
  const tellStart: Step = { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] }
  if (supervised === undefined) return [...started, tellStart, awaitEnd]
  // Who lets it end in silence lets it start in silence: a report wakes the caller.
  const isTold = supervised.release !== undefined
  return [...started, ...(isTold ? [tellStart] : []), ...planWatch(supervised, `the process in ${id}`)]
}
