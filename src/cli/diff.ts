/** `coffer diff`: what a container has changed of its image: A is new, C is changed, D is gone. */

import { parseFlags } from '../base/flags.ts'
import { changesOf } from '../engine/changes.ts'
import { type Command, onlyContainer, say } from './command.ts'

export const diff: Command = (session, words) => {
  const found = onlyContainer(session, 'coffer diff', parseFlags(words, [], 'coffer diff'))
  const changes = changesOf(session.engine, found.record)
  say(session, changes.map(({ kind, path }) => `${kind} ${path}\n`).join(''))
  return 0
}
