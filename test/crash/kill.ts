/** Killing somebody who takes part in a command at any moment, nobody being held. */

import { processesOf, settles, until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import type { Site } from '../kernel/site.ts'
import { LONG } from './injection.ts'

/** How often each is killed: COFFER_CRASH_ROUNDS, 500 in the long form. */
export const ROUNDS: number = Number(process.env.COFFER_CRASH_ROUNDS ?? (LONG ? 500 : 8))

export const childrenOf = (pid: number): readonly number[] =>
  (readText(`/proc/${pid}/task/${pid}/children`) ?? '')
    .split(' ')
    .filter((word) => word !== '')
    .map(Number)

export type Victims = (pid: number) => readonly number[]

/** By the pid of the program that was called; `its caller` is one that CALLER has put in front. */
export const VICTIMS: Readonly<Record<string, Victims>> = {
  'its front': (pid) => [pid],
  'its executor': childrenOf,
  'front and executor': (pid) => [pid, ...childrenOf(pid)],
  'its init': (pid) => childrenOf(pid).flatMap(childrenOf),
  'its caller': (pid) => [pid],
}

export const victimsOf = (name: string): Victims => VICTIMS[name] ?? (() => [])

export const hasEnded = (pid: number): boolean => !/\) [^ZX] /.test(readText(`/proc/${pid}/stat`) ?? '')

/** A shell that stays, so that the program is its child and not itself: what is killed is the caller then. */
export const CALLER: readonly string[] = ['sh', '-c', '"$@"; exit $?', 'caller']

const CALLERS_MS = 60_000

/** A caller that is killed takes nobody with it: the program goes on to its end, if it was begun. */
export const callersEnd = ({ id }: Site): boolean =>
  settles(() => processesOf(`${id}-callers`).length === 0, CALLERS_MS)

/** Spread over all of a duration, and the same in each run: multiples of the golden section. */
export const momentOf = (round: number): number => (round * 0.618_033_988_75) % 1

export interface Kill {
  /** The program that was started, and when that was by Bun.nanoseconds(). */
  readonly started: { readonly pid: number; readonly exited: Promise<number> }
  readonly begin: number
  readonly micros: number
  /** By the pid of the program. */
  readonly victims: Victims
}

/** Answers whether somebody was killed before the program was over. */
export async function killAt({ started, begin, micros, victims }: Kill): Promise<boolean> {
  // Not asleep, as a timer is coarser than the steps are.
  while (Bun.nanoseconds() - begin < micros * 1000);
  until('somebody to kill', () => victims(started.pid).length > 0 || hasEnded(started.pid))
  const killed = victims(started.pid).map(kill)
  await started.exited
  return killed.includes(true)
}

export function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL')
    return true
  } catch (error) {
    // It was faster.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
