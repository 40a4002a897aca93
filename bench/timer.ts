/** Runs actions with timer.c, which costs less between two programs than a JavaScript engine does. */

import { join } from 'node:path'
import { compile } from './compile.ts'

export type Action =
  | { readonly kind: 'time' | 'do'; readonly command: readonly string[] }
  | { readonly kind: 'pause'; readonly ms: number }
  | { readonly kind: 'reap' }

export const time = (command: readonly string[]): Action => ({ kind: 'time', command })
export const run = (command: readonly string[]): Action => ({ kind: 'do', command })
export const pause = (ms: number): Action => ({ kind: 'pause', ms })
export const reap: Action = { kind: 'reap' }

/** Answers the milliseconds of each `time` action, in order. */
export type Timer = (actions: readonly Action[]) => Promise<readonly number[]>

export function makeTimer(directory: string, signal: AbortSignal): Timer {
  const program = join(directory, 'timer')
  compile(join(import.meta.dir, 'timer.c'), program)
  // A file, as containers that stay keep the other end of a pipe open.
  const errors = Bun.file(join(directory, 'errors'))
  return async (actions) => {
    const timer = Bun.spawn([program], {
      stdin: Buffer.from(actions.map(lineOf).join('\n')),
      stdout: 'pipe',
      stderr: errors,
      signal,
    })
    const [output, status] = await Promise.all([timer.stdout.text(), timer.exited])
    signal.throwIfAborted()
    if (status !== 0) throw new Error(await errors.text())
    return output
      .split('\n')
      .filter(Boolean)
      .map((nanoseconds) => Number(nanoseconds) / 1e6)
  }
}

function lineOf(action: Action): string {
  switch (action.kind) {
    case 'time':
    case 'do':
      return [action.kind, ...action.command].join('\t')
    case 'pause':
      return `pause\t${action.ms}`
    case 'reap':
      return 'reap'
  }
}

/** What one program does in one round. */
export type Turn = (round: number) => readonly Action[]

/**
 * Lets programs take turns for `rounds` rounds; who begins a round changes, so that none always follows the same other.
 *
 * Answers for each program the times of its turns, in order: `[program][round][action]`.
 */
export async function takeTurns(timer: Timer, turns: readonly Turn[], rounds: number): Promise<readonly Times[]> {
  const order: { readonly program: number; readonly count: number }[] = []
  const actions: Action[] = []
  for (let round = 0; round < rounds; round++) {
    for (let step = 0; step < turns.length; step++) {
      const program = (round + step) % turns.length
      const own = turns[program]?.(round) ?? []
      actions.push(...own)
      order.push({ program, count: own.filter(({ kind }) => kind === 'time').length })
    }
  }
  const times = await timer(actions)
  const result: number[][][] = turns.map(() => [])
  let at = 0
  for (const { program, count } of order) {
    result[program]?.push(times.slice(at, at + count))
    at += count
  }
  return result
}

/** `[round][action]`, milliseconds. */
export type Times = readonly (readonly number[])[]

/** The times of one action in all rounds. */
export const column = (times: Times, action: number): readonly number[] =>
  times.map((round) => round[action] ?? Number.NaN)
