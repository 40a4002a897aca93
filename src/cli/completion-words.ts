/** What the words of coffer may be, for shells that complete them. */

import type { Flag } from '../base/flags.ts'
import type { Words } from '../tools/tool.ts'

/** What a word may be: one of some, a path, a container, a command of coffer, a program, or nothing that is known. */
export type Kind = readonly string[] | 'path' | 'container' | 'command' | 'program' | 'unknown'

export function valueKind({ value = '' }: Flag): Kind {
  if (/^[a-z]/.test(value) && value.includes('|'))
    return value
      .split('|')
      .map((word) => word.replace(/[[A-Z].*$/, ''))
      .filter((word) => word !== '')
  return /FILE|DIR|PATH|SOURCE|PROGRAM/.test(value) ? 'path' : 'unknown'
}

export function operandKind({ operands }: Words): Kind {
  if (operands.includes('CONTAINER')) return 'container'
  if (operands.includes('COMMAND')) return 'command'
  if (/^[a-z]/.test(operands)) return operands.split('|')
  return /PROGRAM/.test(operands) ? 'program' : 'path'
}

export const takesValue = ({ type }: Flag): boolean => type === 'string' || type === 'int' || type === 'list'

export const offered = ({ flags }: Words): readonly Flag[] => flags.filter(({ refused }) => refused === undefined)

/** The first words, and those behind the first word of a group. */
export function firstWords(commands: readonly Words[]): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, string[]>()
  for (const { name } of commands) {
    const [first = '', second] = name.split(' ')
    words.set(first, [...(words.get(first) ?? []), ...(second === undefined ? [] : [second])])
  }
  return words
}

/** How each shell lists containers: the last column of ps. */
export const CONTAINERS = "coffer ps --all 2>/dev/null | sed -n '2,$s/.* //p'"
