/**
 * exec: how a process is added to a container, in order.
 *
 * The stage enters the container's cgroups and then its namespaces, all at once through a pidfd of init; its child becomes the program.
 * Until that moment it is not dumpable, and holds nothing of the host but its standard descriptors (SECURITY-CHECKS S4, S9).
 */

import { buffer } from '../linux/call.ts'
import { read } from '../linux/files.ts'
import { setns } from '../linux/namespaces.ts'
import { P_PIDFD, waitid } from '../linux/process.ts'
import type { Linux } from '../oci/linux.ts'
import type { Process } from '../oci/process.ts'
import type { CgroupJoin } from './cgroup-join.ts'
import type { Host } from './host.ts'
import { openHostProc } from './host-proc.ts'
import { NAMESPACE_FLAGS } from './namespaces.ts'
import { planPidfdSocket } from './pidfd-socket.ts'
import type { Plan, Step } from './plan.ts'
import { planProgram } from './program.ts'
import { CHILD_END, INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { INIT_EXIT, planStage } from './stage.ts'
import { planPidFile } from './state.ts'
import { planConsoleSocket } from './terminal.ts'
import { beStarted, hear, planTurns, tell } from './turns.ts'

export interface ExecPlanRequest {
  readonly id: string
  readonly process: Process
  readonly linux: Linux
  /** The executor's descriptor of a pidfd of init. */
  readonly initPidfd: number
  readonly cgroup: CgroupJoin
  readonly wait: boolean
  readonly pidFile?: string | undefined
  readonly pidfdSocket?: string | undefined
  readonly consoleSocket?: string | number | undefined
  readonly listenFds: number
  readonly preserveFds: number
  readonly home?: string | undefined
}

export function planExec(request: ExecPlanRequest, host: Host): Plan {
  const { id, process, linux } = request
  const program = planProgram({ ...request, isInit: false, noNewKeyring: false, keeps: [CHILD_END] }, host)
  const flags = linux.namespaces.reduce((sum, { type }) => sum + NAMESPACE_FLAGS[type], 0)
  return {
    operation: `run ${process.args[0] ?? ''} in ${id}`,
    steps: [
      ...openHostProc,
      ...request.cgroup.open,
      ...planConsoleSocket(request.consoleSocket),
      planTurns(),
      ...planStage({
        of: `the process in ${id}`,
        cgroup: request.cgroup.cloneInto,
        enter: [
          ...request.cgroup.join,
          ...(flags === 0
            ? []
            : [
                {
                  call: setns(request.initPidfd, flags),
                  why: `enter the namespaces of ${id}`,
                  see: ['setns(2)', 'pidfd_open(2)'],
                },
              ]),
        ],
        meanwhile: [],
        cloneFlags: 0,
        child: [
          ...program.prepare,
          tell('child', 'c', 'tell that only the program is missing'),
          beStarted,
          ...program.become,
        ],
      }),
      hear('executor', 'c', 'have the process made up to its program'),
      ...(request.pidFile === undefined ? [] : planPidFile(request.pidFile)),
      ...(request.pidfdSocket === undefined ? [] : planPidfdSocket(request.pidfdSocket, INIT_PIDFD)),
      ...planEnding(request),
    ],
    returns: [INIT_PID],
    ...(request.wait ? { reads: [INIT_EXIT] } : {}),
  }
}

function planEnding({ id, wait }: ExecPlanRequest): readonly Step[] {
  const started: readonly Step[] = [
    tell('executor', 's', 'start the program'),
    {
      call: read(PARENT_END, buffer('turn', 1)),
      why: 'see the program take over',
      see: ['execve(2)'],
      check: { result: 0, errno: 'ENOEXEC' },
    },
  ]
  if (!wait) return started
  return [
    ...started,
    { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] },
    { call: waitid(P_PIDFD, INIT_PIDFD, INIT_EXIT), why: `wait until the process in ${id} ends`, see: ['waitid(2)'] },
  ]
}
