/** Processes of one container, and of the programs that work on it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readText } from '../kernel/machine.ts'

/** What a process is called by: pids are used again. */
export interface Seen {
  readonly pid: number
  readonly startTime: string
}

export function seen(pid: number): Seen | undefined {
  const [state, ...rest] =
    readText(`/proc/${pid}/stat`)
      ?.replace(/^.*\) /, '')
      .split(' ') ?? []
  if (state === undefined || state === 'Z' || state === 'X') return undefined
  return { pid, startTime: rest[18] ?? '' }
}

export const isThere = ({ pid, startTime }: Seen): boolean => seen(pid)?.startTime === startTime

/** The executors of a front. */
export const childrenOf = (pid: number): readonly Seen[] =>
  (readText(`/proc/${pid}/task/${pid}/children`) ?? '')
    .trim()
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => seen(Number(word)))
    .filter((found) => found !== undefined)

/** Those in a cgroup of v1's pids or freezer hierarchy, or of v2: wherever the directory is. */
export function membersOf(directories: readonly string[]): readonly Seen[] {
  const lists = directories.map((path) => pidsIn(join(path, 'cgroup.procs')))
  return [...new Set(lists.flat())].map(seen).filter((found) => found !== undefined)
}

function pidsIn(path: string): readonly number[] {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** SIGKILL for a process that is still the one that was seen; answers whether it was there. */
export function killed(victim: Seen): boolean {
  if (!isThere(victim)) return false
  try {
    process.kill(victim.pid, 'SIGKILL')
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
