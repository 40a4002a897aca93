/**
 * `--change` of commit and import: instructions of a Dockerfile that say what containers of the image do.
 *
 * Source: docker: builder/dockerfile/dispatchers.go; oci:image-spec/config.md#properties, `config`
 */

import { durationMs } from '../base/duration.ts'
import { OperationError } from '../base/errors.ts'

/** The section `config` of an image's configuration, with docker's names. */
export type ConfigSection = Readonly<Record<string, unknown>>

/** Throws `invalid` for what is no instruction, or none that changes only this. */
export const applyChanges = (config: ConfigSection, changes: readonly string[]): ConfigSection =>
  changes.reduce(
    (now, change) =>
      change
        .split('\n')
        .filter((line) => line.trim() !== '')
        .reduce(applyChange, now),
    config,
  )

type Instruction = (text: string, config: ConfigSection) => ConfigSection

function applyChange(config: ConfigSection, line: string): ConfigSection {
  const [, word = '', text = ''] = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(line) ?? []
  const instruction = INSTRUCTIONS.get(word.toUpperCase())
  if (instruction === undefined)
    throw wrong(line, `${word} is not a valid change command`, `there are: ${[...INSTRUCTIONS.keys()].join(' ')}`)
  if (text === '') throw wrong(line, `${word} requires at least one argument`)
  return { ...config, ...instruction(text, config) }
}

const wrong = (line: string, reason: string, hint?: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `apply the change ${JSON.stringify(line)}`,
    reason,
    ...(hint === undefined ? {} : { hint }),
  })

/** The JSON form, or the words for a shell. */
function programOf(text: string, { Shell }: ConfigSection): readonly string[] {
  const shell = Array.isArray(Shell) && Shell.length > 0 ? (Shell as readonly string[]) : ['/bin/sh', '-c']
  return jsonWords(text) ?? [...shell, text]
}

function jsonWords(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const words: unknown = JSON.parse(text)
    return Array.isArray(words) && words.every((word) => typeof word === 'string') ? words : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Words as a Dockerfile has them: quotes and backslashes are taken away. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (const [word] of text.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])+/g))
    words.push(
      word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, escaped?: string) =>
        double === undefined ? (single ?? escaped ?? '') : double.replace(/\\(["\\$])/g, '$1'),
      ),
    )
  return words
}

/** `NAME=VALUE …`, or `NAME VALUE` with blanks in it. */
function pairsOf(text: string): readonly (readonly [string, string])[] {
  const words = wordsOf(text)
  if (words[0]?.includes('=') !== true) {
    const [, name = '', value] = /^(\S+)\s+([\s\S]*)$/.exec(text) ?? []
    if (value === undefined) throw wrong(text, 'names must be followed by values', 'write it like NAME=VALUE')
    return [[name, value]]
  }
  return words.map((word) => {
    const equals = word.indexOf('=')
    if (equals < 1) throw wrong(text, `${word} has no value`, 'write it like NAME=VALUE')
    return [word.slice(0, equals), word.slice(equals + 1)] as const
  })
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
const listOf = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as readonly string[]) : [])

function withEnv(env: readonly string[], pairs: readonly (readonly [string, string])[]): readonly string[] {
  const values = new Map(env.map((entry) => [entry.replace(/=[\s\S]*/, ''), entry.replace(/^[^=]*=?/, '')]))
  for (const [name, value] of pairs) values.set(name, value)
  return [...values].map(([name, value]) => `${name}=${value}`)
}

const named = (words: readonly string[]): Readonly<Record<string, object>> =>
  Object.fromEntries(words.map((word) => [word, {}]))

const INSTRUCTIONS: ReadonlyMap<string, Instruction> = new Map<string, Instruction>([
  ['CMD', (text, config) => ({ Cmd: programOf(text, config) })],
  ['ENTRYPOINT', (text, config) => ({ Entrypoint: programOf(text, config) })],
  ['ENV', (text, { Env }) => ({ Env: withEnv(listOf(Env), pairsOf(text)) })],
  ['EXPOSE', (text, config) => ({ ExposedPorts: { ...recordOf(config.ExposedPorts), ...named(portsOf(text)) } })],
  ['HEALTHCHECK', (text) => ({ Healthcheck: healthOf(text) })],
  ['LABEL', (text, { Labels }) => ({ Labels: { ...recordOf(Labels), ...Object.fromEntries(pairsOf(text)) } })],
  ['ONBUILD', (text, { OnBuild }) => ({ OnBuild: [...listOf(OnBuild), text] })],
  ['SHELL', (text) => ({ Shell: jsonWords(text) ?? refuseShell(text) })],
  ['STOPSIGNAL', (text) => ({ StopSignal: text })],
  ['USER', (text) => ({ User: text })],
  [
    'VOLUME',
    (text, { Volumes }) => ({ Volumes: { ...recordOf(Volumes), ...named(jsonWords(text) ?? wordsOf(text)) } }),
  ],
  ['WORKDIR', (text, { WorkingDir }) => ({ WorkingDir: pathBelow(String(WorkingDir ?? ''), text) })],
])

const refuseShell = (text: string): never => {
  throw wrong(`SHELL ${text}`, 'SHELL requires the arguments to be in JSON form')
}

const portsOf = (text: string): readonly string[] =>
  wordsOf(text).flatMap((word) => {
    const [, first, last = first, protocol = 'tcp'] =
      /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (first === undefined || from < 1 || to > 65_535 || to < from) throw wrong(text, `invalid containerPort: ${word}`)
    return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol.toLowerCase()}`)
  })

const pathBelow = (directory: string, path: string): string =>
  path.startsWith('/') ? path : `${directory.replace(/\/$/, '')}/${path}`

const TIMES: Readonly<Record<string, string>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
}
const NANOS_PER_MS = 1_000_000

function healthOf(text: string): object {
  if (/^none$/i.test(text)) return { Test: ['NONE'] }
  const flags: Record<string, number> = {}
  let rest = text
  for (let match = FLAG.exec(rest); match !== null; match = FLAG.exec(rest)) {
    const [all, name = '', value = ''] = match
    const field = TIMES[name]
    const ms = durationMs(value)
    if (name === 'retries' && /^[1-9]\d*$/.test(value)) flags.Retries = Number(value)
    else if (field !== undefined && ms !== undefined) flags[field] = ms * NANOS_PER_MS
    else throw wrong(text, `--${name}=${value} is no flag of HEALTHCHECK`)
    rest = rest.slice(all.length)
  }
  const command = /^CMD\s+([\s\S]+)$/i.exec(rest)?.[1]
  if (command === undefined) throw wrong(text, 'HEALTHCHECK needs NONE or CMD')
  const words = jsonWords(command)
  return { Test: words === undefined ? ['CMD-SHELL', command] : ['CMD', ...words], ...flags }
}

const FLAG = /^--([a-z-]+)=(\S+)\s+/
