/** What a tool is: its words, and either the plan that they become or what it prints. */

import type { Files } from '../base/files.ts'
import type { Flag, Parsed } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import type { Plan } from '../plan/plan.ts'

/** Who calls: what planners need of the machine beside the words. */
export interface Caller {
  readonly native: Native
  readonly files: Files
  readonly env: ReadonlyMap<string, string>
  readonly print: (text: string) => void
  /** What people call the containers of coffer, by id. */
  readonly containerNames: ContainerNames
  /** Of a clock that only goes forward. */
  readonly nanos: () => number
  readonly sleepMs: (ms: number) => void
  /** Whether what is printed goes to a terminal. */
  readonly isTerminal: () => boolean
}

/** Keeps what a tool could not do, for `coffer why`. */
export type KeepFailure = (command: string, status: number, error: unknown) => void

export type ContainerNames = () => ReadonlyMap<string, string>

/** What a command line is made of: its help is, too, and what a shell completes. */
export interface Words {
  /** The words behind `coffer`. */
  readonly name: string
  /** What follows the flags, e.g. `[PROGRAM [ARGUMENT...]]`. */
  readonly operands: string
  readonly summary: string
  readonly flags: readonly Flag[]
  /** Further lines of the help. */
  readonly details?: string
}

export interface Tool extends Words {
  /** The exit status of what the tool itself cannot do; what has no program ends with 127 or 126 behind it. */
  readonly failureStatus: number
  readonly does: Plans | Prints
}

/** The process becomes a program, or makes something that lasts: `explain` shows it. */
export interface Plans {
  readonly kind: 'plan'
  readonly plan: (given: Parsed, caller: Caller) => Plan
  /** What remains to be done behind it, until there is nothing. */
  readonly again?: (given: Parsed, caller: Caller) => Plan | undefined
  /** What --explain prints, where that is not the plan. */
  readonly explain?: (given: Parsed, caller: Caller) => string
}

/** It only looks, or keeps looking. Answers the exit status. */
export interface Prints {
  readonly kind: 'print'
  readonly run: (given: Parsed, caller: Caller) => number
}

/** Several tools under one word. */
export interface Group {
  readonly name: string
  readonly summary: string
  readonly tools: readonly Tool[]
  /** Other spellings of the second word, `del` for `delete`. */
  readonly aliases?: Readonly<Record<string, string>>
  /** What the group does without a second word. */
  readonly fallback?: string
}
