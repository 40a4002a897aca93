/** Words of command lines that several tools take: ids, users, programs. */

import { OperationError } from '../base/errors.ts'
import { type Parsed, usage } from '../base/flags.ts'
import { parseGroup, parsePasswd } from '../observe/users.ts'
import { type Command, placesOf } from '../plan/command.ts'
import type { Caller } from './tool.ts'

const LAST_ID = 0xffff_fffe

/** A number, or undefined for any other text. Throws `invalid` for a number that is no id. */
function idOf(word: string, where: string, tool: string): number | undefined {
  if (!/^\+?\d+$/.test(word)) return undefined
  const id = Number(word)
  if (id > LAST_ID) throw usage(tool, `${where} is ${word}, and ids end at ${LAST_ID}`)
  return id
}

/** What a word was given for, for the refusal. */
export interface Asked {
  /** `--setuid`. */
  readonly where: string
  /** `coffer unshare`. */
  readonly tool: string
}

export function uidOf(caller: Caller, word: string, { where, tool }: Asked): number {
  const id = idOf(word, where, tool)
  if (id !== undefined) return id
  const entry = parsePasswd(caller.files.readText('/etc/passwd') ?? '').find(({ name }) => name === word)
  if (entry === undefined) throw usage(tool, `${where} is "${word}", and /etc/passwd has no such user`, 'give a number')
  return entry.uid
}

export function gidOf(caller: Caller, word: string, { where, tool }: Asked): number {
  const id = idOf(word, where, tool)
  if (id !== undefined) return id
  const entry = parseGroup(caller.files.readText('/etc/group') ?? '').find(({ name }) => name === word)
  if (entry === undefined) throw usage(tool, `${where} is "${word}", and /etc/group has no such group`, 'give a number')
  return entry.gid
}

/** The value of a flag that is a whole number from `least` on. */
export function countOf(given: Parsed, flag: string, tool: string, least = 0): number | undefined {
  const value = given.int(flag)
  if (value !== undefined && value < least) throw usage(tool, `--${flag} is ${value}, and has to be at least ${least}`)
  return value
}

/** The program of the operands; without any, the caller's shell. It is looked for when the plan runs. */
export function commandOf(caller: Caller, words: readonly string[], shell: 'login' | 'interactive' = 'login'): Command {
  const path = caller.env.get('PATH') ?? ''
  if (words.length > 0) return { args: words, path }
  const program = caller.env.get('SHELL') ?? '/bin/sh'
  if (shell === 'interactive') return { args: [program, '-i'], path }
  return { args: [program], path, name: `-${program.replace(/^.*\//, '')}` }
}

/** The same for a plan behind which files are where they are now: found at once, if anybody may execute it. */
export function commandHere(caller: Caller, words: readonly string[]): Command {
  const command = commandOf(caller, words)
  const [program = ''] = command.args
  if (program.includes('/')) return command
  const file = placesOf(program, command.path).find((place) => place.startsWith('/') && isForAll(caller, place))
  return { ...command, file }
}

function isForAll({ files }: Caller, path: string): boolean {
  try {
    const status = files.status(path)
    return status?.kind === 'file' && (status.mode & 0o111) === 0o111
  } catch (error) {
    // Nobody may look there, and execve(2) will say so.
    if (error instanceof OperationError) return false
    throw error
  }
}
