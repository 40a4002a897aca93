/** What the commands on containers have in common: how they print, and how they go on behind a container that fails. */

import { describeError, OperationError } from '../base/errors.ts'
import { type Parsed, USAGE, usage } from '../base/flags.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { mendPause } from '../engine/held-pause.ts'
import { hasEnded, mendContainer } from '../engine/mend.ts'
import { read, writeText } from '../executor/embedded-files.ts'
import { keepCommandFailure } from './failure.ts'
import type { Session } from './open.ts'

/** Answers the exit status. */
export type Command = (session: Session, words: readonly string[]) => number

/** docker's status for what a command on containers could not do. */
export const FAILED = 1

export const say = ({ native }: Pick<Session, 'native'>, text: string): void => writeText(native, 1, text)
export const warn = ({ native }: Pick<Session, 'native'>, text: string): void =>
  writeText(native, 2, `warning: ${text}\n`)

/** Asks, unless it was told not to; `warning` may be a list behind a colon. */
export function agrees(session: Pick<Session, 'native'>, warning: string, given: Pick<Parsed, 'bool'>): boolean {
  if (given.bool('force')) return true
  say(
    session,
    `WARNING! This will remove${warning.startsWith(':') ? '' : ' '}${warning}\nAre you sure you want to continue? [y/N] `,
  )
  const answer = new Uint8Array(64)
  const length = read(session.native, STDIN, answer)
  return /^y(?:es)?\s*$/i.test(session.native.decode(answer, 0, length))
}

const STDIN = 0

/** Runs `body` for each container that is named, behind one that fails too; the status is 1 if one did. */
export function forEach(
  session: Session,
  name: string,
  { rest }: Pick<Parsed, 'rest'>,
  body: (found: EngineContainer, text: string) => void,
): number {
  if (rest.length === 0) throw usage(name, 'it takes one container or more')
  return eachOf(session, name, rest, (text) => body(findMended(session, text), text))
}

/** As forEach, of any words. A command line that cannot be understood is the caller's to tell. */
export function eachOf(session: Session, name: string, words: readonly string[], body: (word: string) => void): number {
  let status = 0
  for (const word of words) {
    try {
      body(word)
    } catch (error) {
      if (!(error instanceof OperationError) || error.operation.startsWith(USAGE)) throw error
      status = FAILED
      writeText(session.native, 2, `error: ${describeError(error)}\n`)
      keepCommandFailure(session.native, { command: name, status, container: word }, error)
    }
  }
  return status
}

/** The one container that a command takes. */
export function onlyContainer(session: Session, name: string, { rest }: Pick<Parsed, 'rest'>): EngineContainer {
  const [text, ...others] = rest
  if (text === undefined || others.length > 0) throw usage(name, 'it takes one container')
  return findMended(session, text)
}

/** As it is once nothing of a killed command is left of it. */
export function findMended({ engine }: Pick<Session, 'engine'>, text: string): EngineContainer {
  const found = findContainer(engine, text)
  const wasMended = hasEnded(found.status) ? mendContainer(engine, found.record.id) : mendPause(engine, found.record.id)
  if (!wasMended) return found
  return findContainer(engine, text)
}
