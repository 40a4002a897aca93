/**
 * A child that stays where the process was while that goes into new namespaces, and does from there what cannot be done from inside: write id
 * maps that need privilege over the outer user namespace, and keep namespaces in files of the outer mount namespace.
 *
 * It waits for a byte in a pipe; the end of the file instead says that the process has failed, and the child ends without doing anything.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { close, pipe2, read, write } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { getpid, P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import type { Ref, Step } from './plan.ts'

/** The pid of the process, as the child sees it. */
export const INSIDE_PID: Slot = slot('own-pid')

export interface OutsideChild {
  /** Before the namespaces. */
  readonly make: readonly Step[]
  /** When the namespaces are there; fails if the child fails. */
  readonly run: readonly Step[]
}

const SEE: readonly Ref[] = ['user_namespaces(7)', 'namespaces(7)']

export const learnPid: Step = {
  call: getpid(),
  why: 'know the pid under which its files are in /proc',
  see: ['getpid(2)'],
  into: INSIDE_PID,
}

export interface Outside {
  /** Tells two of them apart. */
  readonly name: string
  /** What the child is for: completes "have a child …". */
  readonly purpose: string
  readonly steps: readonly Step[]
}

export function planOutsideChild({ name, purpose, steps }: Outside): OutsideChild {
  const ends = buffer(`${name} pipe`, 8)
  const [readEnd, writeEnd, pidfd] = [slot(`${name}-read`), slot(`${name}-write`), slot(`${name}-pidfd`)]
  const pidfdBytes = buffer(`${name} pidfd`, 4)
  const exit = buffer(`${name} exit`, SIGINFO_BYTES)
  const why = `have a child outside that can ${purpose}`
  return {
    make: [
      {
        call: pipe2(ends),
        why,
        see: ['pipe(2)'],
        keep: [
          { slot: readEnd, in: ends, offset: 0, sizeBytes: 4 },
          { slot: writeEnd, in: ends, offset: 4, sizeBytes: 4 },
        ],
      },
      {
        call: clone3({ flags: 0, pidfd: pidfdBytes }),
        why,
        see: SEE,
        keep: [{ slot: pidfd, in: pidfdBytes, offset: 0, sizeBytes: 4 }],
        child: [
          { call: close(writeEnd), why: 'notice if the process fails', see: ['pipe(7)'] },
          {
            call: read(readEnd, buffer(`${name} turn`, 1)),
            why: 'wait until the namespaces are there',
            see: ['pipe(7)'],
            check: { result: 1, errno: 'ECHILD' },
          },
          ...steps,
        ],
      },
    ],
    run: [
      { call: write(writeEnd, 'g', 1), why: `let the child ${purpose}`, see: ['pipe(7)'] },
      {
        call: waitid(P_PIDFD, pidfd, exit),
        why: `wait until the child could ${purpose}`,
        see: ['waitid(2)'],
        check: { in: exit, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECHILD' },
      },
    ],
  }
}
