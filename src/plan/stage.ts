/**
 * A process between executor and init, for namespaces that take effect on children: setns(2) of a pid namespace, a new time namespace.
 *
 * The stage enters and makes them, leaves init behind as a child of the executor (CLONE_PARENT), tells its pid and ends. Init is silent until
 * then: both have the same end of the socket, and what init says first would be taken for the pid.
 */

import { type Buffer, buffer, type Slot, slot } from '../linux/call.ts'
import { CLONE_PARENT, clone3 } from '../linux/namespaces.ts'
import { ppollEither } from '../linux/poll.ts'
import { P_PIDFD, pidfdOpen, pidfdSendSignal, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import { receiveNow, sendto, shutdownSocket } from '../linux/sockets.ts'
import type { Step } from './plan.ts'
import { CHILD_END, INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { hear, keepChildEnd, keepParentEnd, tell } from './turns.ts'

/** struct siginfo of the end of init. */
export const INIT_EXIT: Buffer = buffer('init-exit', SIGINFO_BYTES)

/** The stage's pid, for the executor while it maps ids. */
export const STAGE_PID: Slot = slot('stage-pid')

export interface StageRequest {
  /** Completes "make the first process of …". */
  readonly of: string
  /** A cgroup v2 directory for the stage and its child to be born in. */
  readonly cgroup?: Slot | undefined
  /** What the stage does before it makes the child. */
  readonly enter: readonly Step[]
  /** What the executor does meanwhile. */
  readonly meanwhile: readonly Step[]
  readonly cloneFlags: number
  /** Says nothing before BE_KNOWN, and has it in any case. */
  readonly child: readonly Step[]
}

/** What the child prepares before this, it prepares while the executor learns its pid: two wake-ups, of 50 µs each where CPUs are idle. */
export const BE_KNOWN: Step = hear('child', 'k', 'be known to the executor')

const KILL = 9

/** Takes a process back: killed, and waited for, so that its cgroup is empty. */
export const endProcess = (pidfd: Slot, name: string): readonly Step[] => [
  { call: pidfdSendSignal(pidfd, KILL), why: `kill ${name}`, see: ['pidfd_send_signal(2)'], tolerate: ['ESRCH'] },
  {
    call: waitid(P_PIDFD, pidfd, INIT_EXIT),
    why: `wait until ${name} is gone`,
    see: ['waitid(2)'],
    tolerate: ['ECHILD'],
  },
]

export function planStage({ of, cgroup, enter, meanwhile, cloneFlags, child }: StageRequest): readonly Step[] {
  const pidfd = buffer('stage-pidfd', 4)
  const stagePidfd = slot('stage-pidfd')
  const pidBytes = buffer('init-pid', 4)
  return [
    {
      call: clone3({ flags: 0, pidfd, ...(cgroup === undefined ? {} : { cgroup }) }),
      why: `have a process from which ${of} gets namespaces that only children enter`,
      see: ['setns(2)', 'time_namespaces(7)'],
      into: STAGE_PID,
      keep: [{ slot: stagePidfd, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [keepChildEnd, ...enter, ...leaveInit(of, cloneFlags, child)],
      undo: [
        ...endProcess(stagePidfd, 'the stage'),
        {
          call: shutdownSocket(PARENT_END),
          why: 'have an init that nobody knows yet end',
          see: ['shutdown(2)'],
          tolerate: ['ENOTCONN'],
        },
      ],
    },
    keepParentEnd,
    ...meanwhile,
    {
      // Init has the other end of the socket as well, so that the end of the stage alone is no end of the file.
      call: ppollEither(PARENT_END, stagePidfd),
      why: 'hear from the stage, or see it end',
      see: ['ppoll(2)', 'pidfd_open(2)'],
    },
    {
      call: receiveNow(PARENT_END, pidBytes),
      why: 'learn which process is init',
      see: ['socketpair(2)', 'recv(2)'],
      check: { result: 4, errno: 'ECONNRESET' },
      keep: [{ slot: INIT_PID, in: pidBytes, offset: 0, sizeBytes: 4 }],
    },
    {
      // Init is our child, so its pid cannot be used again before we have waited for it.
      call: pidfdOpen(INIT_PID),
      why: 'hold on to init beyond its pid',
      see: ['pidfd_open(2)'],
      into: INIT_PIDFD,
      undo: endProcess(INIT_PIDFD, 'init'),
    },
    tell('executor', 'k', 'let init go on'),
    {
      call: waitid(P_PIDFD, stagePidfd, INIT_EXIT),
      why: 'see the stage end',
      see: ['waitid(2)'],
      check: { in: INIT_EXIT, offset: 24, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
    },
  ]
}

const leaveInit = (of: string, cloneFlags: number, child: readonly Step[]): readonly Step[] => [
  {
    call: clone3({ flags: cloneFlags + CLONE_PARENT, pidfd: buffer('init-pidfd', 4) }),
    why: `make the first process of ${of} in its namespaces`,
    see: ['clone(2)', 'namespaces(7)'],
    into: INIT_PID,
    child,
  },
  {
    call: sendto(CHILD_END, { struct: new Uint8Array(4), fields: [{ offset: 0, sizeBytes: 4, value: INIT_PID }] }, 4),
    why: 'tell the executor which process is init',
    see: ['socketpair(2)'],
  },
]
