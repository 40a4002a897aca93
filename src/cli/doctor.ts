/** `coffer doctor`: what this machine has for containers, and how to mend what it lacks. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { type Check, checkMachine } from '../container/checks.ts'
import { writeText } from '../executor/embedded-files.ts'
import { columns } from '../tools/help.ts'
import type { Session } from './open.ts'

const COMMAND = 'coffer doctor'

export const DOCTOR_FLAGS: readonly Flag[] = [{ name: 'json', type: 'bool', help: 'as JSON' }]

/** Answers 1 if no container can be made. */
export function doctor({ native, engine }: Session, words: readonly string[]): number {
  const given = parseFlags(words, DOCTOR_FLAGS, COMMAND)
  if (given.rest.length > 0) throw usage(COMMAND, 'it takes no operands')
  const checks = checkMachine(engine.machine)
  const isUsable = checks.every(({ state }) => state !== 'bad')
  writeText(native, 1, given.bool('json') ? `${JSON.stringify({ version: 1, isUsable, checks })}\n` : report(checks))
  return isUsable ? 0 : 1
}

const report = (checks: readonly Check[]): string =>
  `${columns(
    checks.flatMap(({ name, state, detail, hint }): (readonly [string, string])[] => [
      [`${state}  ${name}`, detail],
      ...(hint === undefined ? [] : [['', `hint: ${hint}`] as const]),
    ]),
  )
    .map((line) => line.slice(2).trimEnd())
    .join('\n')}\n`
