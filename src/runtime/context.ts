/** What every command of coffer-runc works with, and what a command is. */

import type { Flag, Parsed } from '../base/flags.ts'
import type { Machine } from '../container/machine.ts'

export interface Context {
  readonly machine: Machine
  readonly env: ReadonlyMap<string, string>
  /** Absolute. */
  readonly cwd: string
  readonly print: (text: string) => void
  readonly warn: (text: string) => void
}

export interface Command {
  readonly name: string
  /** What follows the flags, e.g. `CONTAINER [SIGNAL]`. */
  readonly operands: string
  readonly summary: string
  readonly flags: readonly Flag[]
  /** How many operands there may be. */
  readonly count: readonly [number, number]
  /** Behind its first operand come the words of another program, flags among them. */
  readonly passesArguments?: boolean
  /** Answers the exit status. */
  readonly run: (context: Context, given: Parsed) => number
  /** The exit status of a failure, where it is not 1. */
  readonly failureStatus?: number
}

/** An operand that the count of the command promises. */
export const operand = (given: Parsed, index = 0): string => given.rest[index] ?? ''

/** A path as the caller means it, from its own directory. */
export const absolute = (context: Context, path: string): string =>
  path.startsWith('/') ? path : `${context.cwd === '/' ? '' : context.cwd}/${path}`
