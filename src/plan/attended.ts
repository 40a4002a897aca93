/**
 * A child that its parent waits for as a shell would: unshare --fork, nsenter into a pid namespace.
 *
 * The parent lets signals of the terminal be for the child, which is in the same process group, and ends as the child ended.
 */

import { type Buffer, buffer, type Slot, slot } from '../linux/call.ts'
import { clone3 } from '../linux/namespaces.ts'
import {
  changeSignalMask,
  P_PIDFD,
  SIG_BLOCK,
  SIG_SETMASK,
  SIGINFO_BYTES,
  signalMask,
  WEXITED,
  waitid,
} from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import type { Step } from './plan.ts'

export const CHILD_PID: Slot = slot('child')
export const CHILD_PIDFD: Slot = slot('child-pidfd')
/** struct siginfo of its end, or of the signal that stopped it. */
export const CHILD_EXIT: Buffer = buffer('child exit', SIGINFO_BYTES)
export const WSTOPPED = 2

const PIDFD = buffer('child pidfd', 4)
const MASK_BEFORE = buffer('signal mask', 8)

/** `meanwhile` runs in the parent once the child is there. */
export const planAttended = (why: string, child: readonly Step[], meanwhile: readonly Step[] = []): readonly Step[] => [
  {
    call: changeSignalMask(SIG_BLOCK, signalMask([signalNumber('SIGINT'), signalNumber('SIGTERM')]), MASK_BEFORE),
    why: 'leave interrupts of the terminal to the child',
    see: ['rt_sigprocmask(2)', 'signal(7)'],
  },
  {
    call: clone3({ flags: 0, pidfd: PIDFD }),
    why,
    see: ['clone(2)', 'pid_namespaces(7)'],
    into: CHILD_PID,
    keep: [{ slot: CHILD_PIDFD, in: PIDFD, offset: 0, sizeBytes: 4 }],
    child: [
      {
        call: changeSignalMask(SIG_SETMASK, MASK_BEFORE),
        why: 'let the program be interrupted',
        see: ['rt_sigprocmask(2)'],
      },
      ...child,
    ],
  },
  ...meanwhile,
  {
    call: waitid(P_PIDFD, CHILD_PIDFD, CHILD_EXIT, WEXITED | WSTOPPED),
    why: 'wait until the child ends',
    see: ['waitid(2)'],
  },
]
