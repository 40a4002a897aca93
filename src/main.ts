/**
 * The binary: picks a door by the name it was called with.
 *
 * All modules run when the program is built, and `main` when it is started (native/front.c). So tables at module level cost no time, and
 * nothing about this start, be it arguments, time or a file, can be read there.
 */

import { native } from './base/native.ts'
import { cliDoor } from './cli/main.ts'
import { runtimeDoor } from './runtime/main.ts'

/** The exit status of the process. */
export function main(): number {
  const engine = native()
  const program = (engine.args[0] ?? 'coffer').replace(/^.*\//, '')
  return program === 'coffer-runc' || program === 'runc' || program === 'crun' ? runtimeDoor(engine) : cliDoor(engine)
}
