/**
 * A plan: a short program of system calls, as data.
 *
 * A step is one call, why it is made, and where that is documented. The shape of a plan is the shape of the process tree: `clone3` is
 * the one call whose step owns a list of steps, those of the child.
 *
 * The executor runs the steps of a list in order. A step that fails ends its list: the undo steps of all completed steps of the list
 * run, last first, and the process exits. Branches only go forward:
 *
 * | a step has  | and its call                           | then                                                |
 * |-------------|----------------------------------------|-----------------------------------------------------|
 * | `tolerate`  | fails with one of these errnos         | `otherwise` runs, and the list goes on behind it    |
 * | `then`      | succeeds                               | `then` runs, and the list goes on behind it         |
 * | `check`     | succeeds, but the check does not hold  | it counts as a failure with the errno of the check  |
 */

import type { Buffer, Call, Size, Slot } from '../linux/call.ts'
import type { Errno } from '../linux/errno.ts'

/** A manual page `mount(2)`, a kernel document `kernel:…`, a specification `oci:…`, or a source file. */
export type Ref = string

export interface Step {
  readonly call: Call
  /** Completes "in order to …"; names the object. */
  readonly why: string
  readonly see: readonly Ref[]
  /** Keeps the result for later steps, those of child lists included. */
  readonly into?: Slot
  readonly tolerate?: readonly Errno[]
  readonly then?: readonly Step[]
  readonly otherwise?: readonly Step[]
  readonly check?: Check
  /** Copies little-endian integers that the call wrote into slots. */
  readonly keep?: readonly Keep[]
  /** The call is made again while it answers one of these two: 100 times at once, then each millisecond for a second. */
  readonly retry?: readonly Errno[]
  /** Only with `clone3`: what the child does; it exits with status 0 behind the last step. */
  readonly child?: readonly Step[]
  /** A command that does the same, for scripts, where the call is of bytes that say little; '' for what that command does as well. */
  readonly typed?: string | undefined
  /** Takes back what this step made. Errors of undo steps are recorded, and do not stop the others. */
  readonly undo?: readonly Step[]
  /** Only with a call that waits for a program of somebody else: what its error can say. The plan has to read both buffers. */
  readonly program?: AwaitedProgram
}

export interface AwaitedProgram {
  /** struct siginfo of its end; zeros where another process than the executor waits. */
  readonly ending: Buffer
  /** The beginning of what it printed. */
  readonly output: Buffer
}

/**
 * Holds if `(value & mask) == equals`; `value` is the result of the call, or a little-endian integer that the call wrote into `in`.
 * `resultAtLeast` compares the result as a signed number, `differs` holds if the integer is another one.
 */
export type Check = { readonly errno: Errno } & (
  | { readonly result: number | Size }
  | { readonly resultAtLeast: number }
  | {
      readonly in: Buffer
      readonly offset: number
      readonly sizeBytes: 1 | 2 | 4
      readonly mask?: number
      readonly equals: number
    }
  | { readonly in: Buffer; readonly offset: number; readonly sizeBytes: 4; readonly differs: number }
)

export interface Keep {
  readonly slot: Slot
  readonly in: Buffer
  readonly offset: number
  readonly sizeBytes: 1 | 2 | 4 | 8
}

/** A plan, and what its report brings back beside errors. */
export interface Plan {
  /** What the whole is for: completes "cannot …" when a step without a better word fails. */
  readonly operation: string
  readonly steps: readonly Step[]
  /** Results to bring back, by slot. */
  readonly returns?: readonly Slot[]
  /** Bytes to bring back. */
  readonly reads?: readonly Buffer[]
}
