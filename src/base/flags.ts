/** Command lines by table: every flag is a record, and what was typed becomes values by name, or an error that names the word. */

import { OperationError } from './errors.ts'
import { nearest } from './nearest.ts'

export interface Flag {
  readonly name: string
  /** One letter, without the dash. */
  readonly short?: string
  /** `list` collects repetitions. */
  readonly type: 'bool' | 'string' | 'int' | 'list'
  /** What the help shows for the value. */
  readonly value?: string
  readonly help: string
  /** Accepted, but refused with this reason. */
  readonly refused?: string
}

export interface Parsed {
  readonly isSet: (name: string) => boolean
  /** False where not given. */
  readonly bool: (name: string) => boolean
  readonly string: (name: string) => string | undefined
  readonly int: (name: string) => number | undefined
  readonly list: (name: string) => readonly string[]
  readonly rest: readonly string[]
}

export interface ParseOptions {
  /** Takes flags behind operands too, up to `--`, as runc does. */
  readonly mixed?: boolean
}

/**
 * Reads flags up to the first word that is none, or `--`; that word and all behind it are `rest`, as a command's own flags are not ours.
 *
 * `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-abc` for three bools; as in Go's flag packages `-name` is taken for `--name`.
 * Throws `invalid`.
 */
export function parseFlags(
  words: readonly string[],
  flags: readonly Flag[],
  command: string,
  { mixed = false }: ParseOptions = {},
): Parsed {
  const values = new Map<string, string[]>()
  const operands: string[] = []
  let at = 0
  while (at < words.length) {
    const word = words[at] ?? ''
    if (word === '--') {
      at++
      break
    }
    const isOperand = !word.startsWith('-') || word === '-'
    if (isOperand && !mixed) break
    if (isOperand) operands.push(word)
    at = isOperand ? at + 1 : takeFlag(words, at, flags, values, command)
  }
  return parsed(values, [...operands, ...words.slice(at)], flags)
}

function takeFlag(
  words: readonly string[],
  at: number,
  flags: readonly Flag[],
  values: Map<string, string[]>,
  command: string,
): number {
  const word = words[at] ?? ''
  const [name, inline] = split(word)
  const flag = find(flags, name, word)
  if (flag === undefined) {
    if (inline === undefined && takeCluster(word, flags, values)) return at + 1
    throw unknown(word, flags, command)
  }
  if (flag.refused !== undefined) throw refused(flag, command, flag.refused)
  if (flag.type === 'bool') {
    add(values, flag.name, boolWord(inline ?? 'true', word, command))
    return at + 1
  }
  const value = inline ?? words[at + 1]
  if (value === undefined) throw usage(command, `${word} needs a value`, `${word} ${flag.value ?? 'VALUE'}`)
  if (flag.type === 'int' && !/^-?\d+$/.test(value))
    throw usage(command, `${word} is "${value}", which is not a whole number`)
  add(values, flag.name, value)
  return inline === undefined ? at + 2 : at + 1
}

function split(word: string): readonly [string, string | undefined] {
  const bare = word.replace(/^--?/, '')
  const equals = bare.indexOf('=')
  return equals < 0 ? [bare, undefined] : [bare.slice(0, equals), bare.slice(equals + 1)]
}

const find = (flags: readonly Flag[], name: string, word: string): Flag | undefined =>
  flags.find((flag) => flag.name === name && name.length > 1) ??
  (word.startsWith('--') ? undefined : flags.find((flag) => flag.short === name))

/** `-it` is `-i -t`, if all letters are bools; the last one may take a value of its own in `-eNAME`. */
function takeCluster(word: string, flags: readonly Flag[], values: Map<string, string[]>): boolean {
  if (word.startsWith('--')) return false
  const letters = [...word.slice(1)]
  const found = letters.map((letter) => flags.find((flag) => flag.short === letter))
  const first = found[0]
  if (first !== undefined && first.type !== 'bool') {
    add(values, first.name, word.slice(2))
    return true
  }
  if (!found.every((flag) => flag !== undefined && flag.type === 'bool' && flag.refused === undefined)) return false
  for (const flag of found) if (flag !== undefined) add(values, flag.name, 'true')
  return true
}

function boolWord(value: string, word: string, command: string): string {
  if (value === 'true' || value === 'false') return value
  throw usage(command, `${word} is neither true nor false`)
}

function add(values: Map<string, string[]>, name: string, value: string): void {
  const list = values.get(name)
  if (list === undefined) values.set(name, [value])
  else list.push(value)
}

function parsed(
  values: ReadonlyMap<string, readonly string[]>,
  rest: readonly string[],
  flags: readonly Flag[],
): Parsed {
  const last = (name: string): string | undefined => {
    if (!flags.some((flag) => flag.name === name)) throw new Error(`this is a bug in coffer: no flag is called ${name}`)
    const list = values.get(name)
    return list === undefined ? undefined : list[list.length - 1]
  }
  return {
    isSet: (name) => last(name) !== undefined,
    bool: (name) => last(name) === 'true',
    string: last,
    int: (name) => {
      const value = last(name)
      return value === undefined ? undefined : Number(value)
    },
    list: (name) => values.get(name) ?? [],
    rest,
  }
}

function unknown(word: string, flags: readonly Flag[], command: string): OperationError {
  const names = flags.flatMap(({ name, short }) => (short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`]))
  const near = nearest(word.replace(/=.*/, ''), names)
  return usage(
    command,
    `it has no flag ${word.replace(/=.*/, '')}`,
    near === undefined ? undefined : `did you mean ${near}?`,
  )
}

const refused = ({ name }: Flag, command: string, reason: string): OperationError =>
  new OperationError({ kind: 'unsupported', operation: `run ${command} with --${name}`, reason })

/** The error of a command line that cannot be understood. */
export const usage = (command: string, reason: string, hint = `${command} --help`): OperationError =>
  new OperationError({ kind: 'invalid', operation: `understand the command line of ${command}`, reason, hint })
