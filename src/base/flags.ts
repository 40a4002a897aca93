/** Command lines by table: every flag is a record, and what was typed becomes values by name, or an error that names the word. */

import { OperationError } from './errors.ts'
import { nearest } from './nearest.ts'

export interface Flag {
  readonly name: string
  /** One letter, without the dash. */
  readonly short?: string
  /** `list` collects repetitions; `optional` takes a value only in the same word, `--net` or `--net=FILE`, and is '' without one. */
  readonly type: 'bool' | 'string' | 'int' | 'list' | 'optional'
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
 * `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`, `-abc` for three that take none; as in Go's flag packages `-name` is taken for
 * `--name`. The value of an optional letter begins with / or a dot, as other words behind it are letters: `-n/run/netns/a`, `-mnu`.
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
    const taken = takeCluster(words, at, flags, values)
    if (taken > 0) return at + taken
    throw unknown(word, flags, command)
  }
  if (flag.refused !== undefined) throw refused(flag, command, flag.refused)
  if (flag.type === 'bool') {
    add(values, flag.name, boolWord(inline ?? 'true', word, command))
    return at + 1
  }
  if (flag.type === 'optional') {
    add(values, flag.name, inline ?? '')
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

/** Letters that are one word: `-it` is `-i -t`, and the last one may take a value. Answers how many words it took; 0 if it is none. */
function takeCluster(
  words: readonly string[],
  at: number,
  flags: readonly Flag[],
  values: Map<string, string[]>,
): number {
  const word = words[at] ?? ''
  if (word.startsWith('--')) return 0
  const taken: (readonly [string, string])[] = []
  let used = 1
  for (let index = 1; index < word.length; index++) {
    const flag = flags.find(({ short }) => short === word[index])
    if (flag === undefined || flag.refused !== undefined) return 0
    const rest = word.slice(index + 1)
    const value = letterValue(flag, rest, words[at + 1])
    if (value === undefined) return 0
    taken.push([flag.name, value.text])
    if (value.from === 'next') used = 2
    if (value.from !== 'none') break
  }
  for (const [name, value] of taken) add(values, name, value)
  return used
}

interface LetterValue {
  readonly text: string
  readonly from: 'none' | 'rest' | 'next'
}

function letterValue({ type }: Flag, rest: string, next: string | undefined): LetterValue | undefined {
  // As pflag has it: of -ti=false the value is that of the last letter.
  if (type === 'bool') return rest.startsWith('=') ? boolValue(rest.slice(1)) : { text: 'true', from: 'none' }
  if (type === 'optional') return /^[./]/.test(rest) ? { text: rest, from: 'rest' } : { text: '', from: 'none' }
  const text = rest === '' ? next : rest
  if (text === undefined || (type === 'int' && !/^-?\d+$/.test(text))) return undefined
  return { text, from: rest === '' ? 'next' : 'rest' }
}

function boolValue(value: string): LetterValue | undefined {
  const text = truth(value)
  return text === undefined ? undefined : { text, from: 'rest' }
}

function boolWord(value: string, word: string, command: string): string {
  const text = truth(value)
  if (text === undefined) throw usage(command, `${word} is neither true nor false`)
  return text
}

/** The words that Go knows for the two. */
function truth(value: string): 'true' | 'false' | undefined {
  if (/^(1|t|T|true|True|TRUE)$/.test(value)) return 'true'
  return /^(0|f|F|false|False|FALSE)$/.test(value) ? 'false' : undefined
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
  const names = new Set(flags.map(({ name }) => name))
  const last = (name: string): string | undefined => {
    if (!names.has(name)) throw new Error(`this is a bug in coffer: no flag is called ${name}`)
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

/** How the operation of `usage` begins. */
export const USAGE = 'understand the command line of'

/** The error of a command line that cannot be understood. */
export const usage = (command: string, reason: string, hint = `${command} --help`): OperationError =>
  new OperationError({ kind: 'invalid', operation: `${USAGE} ${command}`, reason, hint })
