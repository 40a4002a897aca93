/**
 * How executor, stage and init take turns: one byte each over a pair of sockets.
 *
 * | byte | from, to        | says                                                       |
 * |------|-----------------|------------------------------------------------------------|
 * | `k`  | executor → init | it is known which process init is, where a stage made it   |
 * | `u`  | stage → executor| the user namespace is there, map its ids                   |
 * | `m`  | executor → it   | the ids are mapped                                         |
 * | `r`  | init → executor | the root is ready, run the hooks of the runtime namespace  |
 * | `h`  | executor → init | those hooks went well                                      |
 * | `c`  | init → executor | everything is made, only the program is missing            |
 * | `s`  | executor → init | start the program                                          |
 * | `w`  | executor → init | it is recorded who init is: wait for `start`               |
 *
 * A process that ends closes its socket, and the other reads an end of file: nobody waits for the dead.
 */

import { buffer } from '../linux/call.ts'
import { close, read } from '../linux/files.ts'
import { AF_UNIX, SOCK_STREAM, sendto, socketpair } from '../linux/sockets.ts'
import type { Step } from './plan.ts'
import { CHILD_END, PARENT_END } from './slots.ts'

const SEE = ['socketpair(2)']

export function planTurns(): Step {
  const ends = buffer('turns', 8)
  return {
    call: socketpair(AF_UNIX, SOCK_STREAM, ends),
    why: 'let executor and init take turns',
    see: SEE,
    keep: [
      { slot: PARENT_END, in: ends, offset: 0, sizeBytes: 4 },
      { slot: CHILD_END, in: ends, offset: 4, sizeBytes: 4 },
    ],
  }
}

export const keepParentEnd: Step = {
  call: close(CHILD_END),
  why: 'notice it when the child ends',
  see: SEE,
}
export const keepChildEnd: Step = {
  call: close(PARENT_END),
  why: 'notice it when the executor ends',
  see: SEE,
}

type Side = 'executor' | 'child'

const endOf = (side: Side): typeof PARENT_END => (side === 'executor' ? PARENT_END : CHILD_END)

export const tell = (side: Side, byte: string, why: string): Step => ({
  call: sendto(endOf(side), byte, 1),
  why,
  see: SEE,
})

/** ECONNRESET stands for "the other one ended"; it has then reported its own failure first. */
export const hear = (side: Side, byte: string, why: string): Step => ({
  call: read(endOf(side), buffer('turn', 1)),
  why,
  see: SEE,
  check: { in: buffer('turn', 1), offset: 0, sizeBytes: 1, equals: byte.charCodeAt(0), errno: 'ECONNRESET' },
})

/** Waits for the last word; if the program cannot be executed after all, an `x` says so. */
export const beStarted: Step = {
  ...hear('child', 's', 'be started'),
  undo: [tell('child', 'x', 'tell that the program could not be executed')],
}
