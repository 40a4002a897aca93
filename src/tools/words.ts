/** Words of command lines that several tools take: ids, users, programs. */

import { type Parsed, usage } from '../base/flags.ts'
import { parseGroup, parsePasswd } from '../observe/users.ts'
import type { Command } from '../plan/command.ts'
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

/** The program of the operands; without any, the caller's shell. */
export function commandOf(caller: Caller, words: readonly string[], shell: 'login' | 'interactive' = 'login'): Command {
  const path = caller.env.get('PATH') ?? ''
  if (words.length > 0) return { args: words, path }
  const program = caller.env.get('SHELL') ?? '/bin/sh'
  if (shell === 'interactive') return { args: [program, '-i'], path }
  return { args: [program], path, name: `-${program.replace(/^.*\//, '')}` }
}
