/** Values of flags: sizes, durations, pairs, and files of lines. All throw `invalid` with the flag. */

import { type Parsed, usage } from '../base/flags.ts'
import type { Session } from './open.ts'

/** A command line that was read, and where it was typed. */
export interface Asked {
  /** `coffer run`. */
  readonly command: string
  readonly given: Parsed
  readonly session: Session
}

/** An error about the value of a flag. */
export const wrong = ({ command }: Pick<Asked, 'command'>, flag: string, value: string, hint: string): Error =>
  usage(command, `--${flag} is ${JSON.stringify(value)}`, hint)

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
}

/** Undefined for what is no size. docker's units are powers of 1024. */
export function parseBytes(word: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(word) ?? []
  const factor = UNITS[unit.toLowerCase()]
  return digits === undefined || factor === undefined ? undefined : Math.floor(Number(digits) * factor)
}

/** Undefined if it was not given. */
export function bytesOf(asked: Asked, flag: string, canBeUnlimited = false): number | undefined {
  const word = asked.given.string(flag)
  if (word === undefined) return undefined
  if (canBeUnlimited && word === '-1') return -1
  const bytes = parseBytes(word)
  if (bytes !== undefined) return bytes
  throw wrong(asked, flag, word, 'give bytes, or a number with b, k, m, g or t')
}

/** A whole number in this range; undefined if it was not given. */
export function intOf(
  asked: Asked,
  flag: string,
  { min, max }: { readonly min: number; readonly max: number },
): number | undefined {
  const value = asked.given.int(flag)
  if (value === undefined || (value >= min && value <= max)) return value
  throw wrong(asked, flag, String(value), `give a number from ${min} to ${max}`)
}

const NANOS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }

/** Nanoseconds of a duration as Go writes it: `1m30s`. As with docker, a millisecond at least, or 0. */
export function durationOf(asked: Asked, flag: string): number | undefined {
  const word = asked.given.string(flag)
  if (word === undefined) return undefined
  if (word === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(word))
    throw wrong(asked, flag, word, 'write it like 30s or 1m30s')
  let nanos = 0
  for (const [, number, unit = 's'] of word.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    nanos += Number(number) * (NANOS[unit] ?? 0)
  if (nanos > 0 && nanos < 1e6) throw wrong(asked, flag, word, 'it cannot be less than 1ms')
  return Math.round(nanos)
}

/** `NAME=VALUE`, or a name alone. */
export const labelOf = (word: string): readonly [string, string] => {
  const equals = word.indexOf('=')
  return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)]
}

/** `NAME=VALUE` each; a later one counts. */
export function pairsOf(asked: Asked, flag: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    asked.given.list(flag).map((word): readonly [string, string] => {
      const equals = word.indexOf('=')
      if (equals < 1) throw wrong(asked, flag, word, `give NAME=VALUE`)
      return [word.slice(0, equals), word.slice(equals + 1)]
    }),
  )
}

/** The lines of files that are neither empty nor comments: `NAME=VALUE`, or `NAME`. */
export function linesOf(asked: Asked, flag: string): readonly string[] {
  return asked.given.list(flag).flatMap((path) => {
    const text = readGiven(asked, flag, path)
    return text
      .replace(/^\ufeff/, '')
      .split('\n')
      .map((line) => line.replace(/\r$/, '').replace(/^\s+/, ''))
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const name = line.replace(/=.*/s, '')
        if (name === '' || /\s/.test(name))
          throw wrong(asked, flag, path, `a line of it is ${JSON.stringify(line)}, whose name has a blank`)
        return line
      })
  })
}

/** The text of a file that a flag names. */
export function readGiven(asked: Asked, flag: string, path: string): string {
  const { engine, cwd } = asked.session
  const text = engine.machine.files.readText(absolute(path, cwd))
  if (text !== undefined) return text
  throw wrong(asked, flag, path, 'open: no such file or directory')
}

/** As written, but for `.` and what is relative. */
export const absolute = (path: string, cwd: string): string =>
  path.startsWith('/') ? path : path === '.' ? cwd : `${cwd === '/' ? '' : cwd}/${path.replace(/^(\.\/)+/, '')}`
