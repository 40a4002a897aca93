/** Commands below one word, as docker has them: `volume create`. Help, completion and manual pages are made of these records too. */

import { usage } from '../base/flags.ts'
import { nearest } from '../base/nearest.ts'
import { own } from '../base/own.ts'
import type { Words } from '../tools/tool.ts'
import type { Command } from './command.ts'
import type { Session } from './open.ts'

/** Its name has both words. */
export interface GroupCommand extends Words {
  readonly run: Command
}

export interface CommandGroup {
  readonly name: string
  readonly summary: string
  readonly commands: readonly GroupCommand[]
  /** Other spellings of the second word: `list` for `ls`. */
  readonly aliases: Readonly<Record<string, string>>
  /** What comes before any of them. */
  readonly prepares?: (session: Session) => void
}

/** docker's spellings in most groups. */
export const ALIASES = { list: 'ls', remove: 'rm' } as const

export const commandIn = ({ name, commands, aliases }: CommandGroup, word: string): GroupCommand | undefined =>
  commands.find((one) => one.name === `${name} ${own(aliases, word) ?? word}`)

/** Throws `invalid` for another second word. */
export function runGroup(group: CommandGroup, session: Session, [word = '', ...rest]: readonly string[]): number {
  const command = commandIn(group, word)
  if (command === undefined) throw noCommandIn(group.name, word, secondWords(group))
  group.prepares?.(session)
  return command.run(session, rest)
}

const secondWords = ({ name, commands }: CommandGroup): readonly string[] =>
  commands.map((one) => one.name.slice(name.length + 1))

export function noCommandIn(group: string, word: string, known: readonly string[]): ReturnType<typeof usage> {
  const near = nearest(word, known)
  return usage(
    `coffer ${group}`,
    word === '' ? 'it takes a command' : `it has no command ${word}`,
    near === undefined ? `it is one of: ${known.join(' ')}` : `did you mean ${near}?`,
  )
}
