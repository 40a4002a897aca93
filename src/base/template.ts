/**
 * The part of Go's templates that people type behind --format: fields, pipes, range, if, with, index, json and their like. Values are JSON.
 *
 * Source: text/template of Go, docker: templates.go for json, join, split, lower, upper, title, pad, truncate, println
 */

import { OperationError } from './errors.ts'
import { hasOwn } from './own.ts'
import { type Action, type Command, type ParsedTemplate, parseTemplate, type Term } from './template-parse.ts'

export type Value = unknown

export type Template = (value: Value) => string

/** Throws `invalid` for what is no template; the function that it answers, for a field that is not there. */
export function compileTemplate(text: string): Template {
  const { actions, named } = parseTemplate(text)
  return (value) => render(actions, { dot: value, variables: new Map([['$', value]]), named, depth: 0 })
}

interface Scope {
  readonly dot: Value
  readonly variables: ReadonlyMap<string, Value>
  readonly named: ParsedTemplate['named']
  /** How many templates are within one another. */
  readonly depth: number
}

const MAX_DEPTH = 250

const NO_VALUE = '<no value>'

function render(actions: readonly Action[], scope: Scope): string {
  let inner = scope
  let printed = ''
  for (const action of actions)
    if (action.kind === 'declare')
      inner = { ...inner, variables: new Map([...inner.variables, [action.name, run(action.pipe, inner)]]) }
    else printed += renderAction(action, inner)
  return printed
}

function renderAction(action: Exclude<Action, { kind: 'declare' }>, scope: Scope): string {
  switch (action.kind) {
    case 'text':
      return action.text
    case 'print':
      return shown(run(action.pipe, scope))
    case 'template':
      return renderNamed(action, scope)
    case 'if':
      return render(isTrue(run(action.pipe, scope)) ? action.body : action.otherwise, scope)
    case 'with': {
      const dot = run(action.pipe, scope)
      return isTrue(dot) ? render(action.body, { ...scope, dot }) : render(action.otherwise, scope)
    }
    case 'range': {
      const entries = entriesOf(run(action.pipe, scope))
      if (entries.length === 0) return render(action.otherwise, scope)
      return entries.map(([key, dot]) => render(action.body, within(scope, action.names, key, dot))).join('')
    }
  }
}

/** It sees no variables of whoever calls it. */
function renderNamed({ name, pipe }: Extract<Action, { kind: 'template' }>, scope: Scope): string {
  const { named, depth } = scope
  const actions = named.get(name)
  if (actions === undefined) throw wrong(`template ${JSON.stringify(name)} not defined`)
  if (depth >= MAX_DEPTH) throw wrong(`exceeded maximum template depth (${MAX_DEPTH})`)
  const dot = pipe === undefined ? undefined : run(pipe, scope)
  return render(actions, { dot, variables: new Map([['$', dot]]), named, depth: depth + 1 })
}

function within(scope: Scope, names: readonly string[], key: Value, dot: Value): Scope {
  const values = names.length === 2 ? [key, dot] : [dot]
  return {
    ...scope,
    dot,
    variables: new Map([...scope.variables, ...names.map((name, at) => [name, values[at]] as const)]),
  }
}

function entriesOf(value: Value): readonly (readonly [Value, Value])[] {
  if (Array.isArray(value)) return value.map((one, at) => [at, one] as const)
  if (isObject(value)) return keysOf(value).map((key) => [key, value[key]] as const)
  if (value === null || value === undefined) return []
  throw wrong(`range cannot go over ${shown(value)}`)
}

const isObject = (value: Value): value is Readonly<Record<string, Value>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const keysOf = (value: object): readonly string[] => Object.keys(value).sort()

function isTrue(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (isObject(value)) return Object.keys(value).length > 0
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== ''
}

/** The value of a command is the last argument of the next. */
function run(pipe: readonly Command[], scope: Scope): Value {
  let piped: readonly Value[] = []
  for (const command of pipe) piped = [runCommand(command, scope, piped)]
  return piped[0]
}

function runCommand([first, ...rest]: Command, scope: Scope, piped: readonly Value[]): Value {
  if (first === undefined) throw wrong('a command is missing')
  if (first.kind !== 'word') {
    const value = termValue(first, scope)
    if (typeof value === 'function') return value(...rest.map((term) => termValue(term, scope)), ...piped)
    if (rest.length > 0 || piped.length > 0) throw wrong('a value takes no arguments')
    return value
  }
  const call = FUNCTIONS.get(first.word)
  if (call === undefined) throw wrong(`function "${first.word}" not defined`)
  return call([...rest.map((term) => termValue(term, scope)), ...piped])
}

function termValue(term: Term, scope: Scope): Value {
  switch (term.kind) {
    case 'literal':
      return term.value
    case 'pipe':
      return fieldsOf(run(term.pipe, scope), term.fields)
    case 'field':
      return fieldsOf(scope.dot, term.fields)
    case 'variable': {
      if (!scope.variables.has(term.name)) throw wrong(`undefined variable "${term.name}"`)
      return fieldsOf(scope.variables.get(term.name), term.fields)
    }
    case 'word':
      return runCommand([term], scope, [])
  }
}

/** A name that begins large is a field of a structure, which has to be there; any other is a key of a map, which may be absent. */
function fieldsOf(value: Value, fields: readonly string[]): Value {
  let found = value
  for (const field of fields) {
    if (isObject(found) && hasOwn(found, field)) found = found[field]
    else if (/^[A-Z]/.test(field) && found !== undefined && found !== null)
      throw wrong(
        `map has no entry for key "${field}"`,
        isObject(found) ? `it has: ${keysOf(found).join(' ')}` : undefined,
      )
    else found = undefined
  }
  return found
}

/** As %v prints it. */
function shown(value: Value): string {
  if (value === undefined || value === null) return NO_VALUE
  if (Array.isArray(value)) return `[${value.map(shown).join(' ')}]`
  if (isObject(value))
    return `map[${keysOf(value)
      .map((key) => `${key}:${shown(value[key])}`)
      .join(' ')}]`
  return String(value)
}

type Call = (args: readonly Value[]) => Value

const text = (value: Value): string => (value === undefined || value === null ? '' : shown(value))

function compare(a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [text(a), text(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

const FUNCTIONS: ReadonlyMap<string, Call> = new Map<string, Call>([
  ['json', ([value]) => JSON.stringify(value === undefined ? null : value)],
  ['index', ([value, ...keys]) => keys.reduce(indexed, value)],
  ['len', ([value]) => (typeof value === 'string' ? value.length : entriesOf(value).length)],
  ['join', ([list, separator]) => (Array.isArray(list) ? list : []).map(text).join(text(separator))],
  ['split', ([value, separator]) => text(value).split(text(separator))],
  ['lower', ([value]) => text(value).toLowerCase()],
  ['upper', ([value]) => text(value).toUpperCase()],
  ['title', ([value]) => text(value).replace(/\b[a-z]/g, (letter) => letter.toUpperCase())],
  ['truncate', ([value, length]) => text(value).slice(0, Number(length))],
  [
    'pad',
    ([value, before, after]) =>
      value === '' ? '' : ' '.repeat(Number(before)) + text(value) + ' '.repeat(Number(after)),
  ],
  ['slice', ([value, from, to]) => sliced(value, from, to)],
  ['print', (args) => args.map(shown).join('')],
  ['println', (args) => `${args.map(shown).join(' ')}\n`],
  ['html', (args) => escaped(args, HTML)],
  ['js', (args) => escaped(args, JAVASCRIPT)],
  [
    'urlquery',
    (args) =>
      encodeURIComponent(joined(args))
        .replace(/%20/g, '+')
        .replace(/[!'()*]/g, percent),
  ],
  ['printf', ([format, ...args]) => printed(text(format), args)],
  ['eq', ([value, ...others]) => others.some((other) => compare(value, other) === 0)],
  ['ne', ([a, b]) => compare(a, b) !== 0],
  ['lt', ([a, b]) => compare(a, b) < 0],
  ['le', ([a, b]) => compare(a, b) <= 0],
  ['gt', ([a, b]) => compare(a, b) > 0],
  ['ge', ([a, b]) => compare(a, b) >= 0],
  ['not', ([value]) => !isTrue(value)],
  ['and', (args) => args.find((value) => !isTrue(value)) ?? args[args.length - 1]],
  ['or', (args) => args.find(isTrue) ?? args[args.length - 1]],
])

const joined = (args: readonly Value[]): string => args.map(shown).join('')
const percent = (sign: string): string => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`

/** Source: text/template of Go, HTMLEscapeString and JSEscapeString */
const HTML: Readonly<Record<string, string>> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\0': '\ufffd',
}
const JAVASCRIPT: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '"': '\\"' }

const escaped = (args: readonly Value[], table: Readonly<Record<string, string>>): string =>
  joined(args).replace(/[^\w ]/g, (sign) => table[sign] ?? (table === JAVASCRIPT ? inCode(sign) : sign))

const inCode = (sign: string): string =>
  sign < ' ' || '<>&='.includes(sign) ? `\\u${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}` : sign

function indexed(value: Value, key: Value): Value {
  if (Array.isArray(value)) {
    const at = Number(key)
    if (at >= 0 && at < value.length) return value[at]
    throw wrong(`index out of range: ${text(key)}`)
  }
  const name = text(key)
  if (isObject(value)) return hasOwn(value, name) ? value[name] : ''
  if (value === undefined || value === null) return ''
  throw wrong(`can't index ${shown(value)}`)
}

const sliced = (value: Value, from: Value, to: Value): Value => {
  const [begin, end] = [Number(from ?? 0), to === undefined ? undefined : Number(to)]
  return Array.isArray(value) ? value.slice(begin, end) : text(value).slice(begin, end)
}

function printed(format: string, args: readonly Value[]): string {
  let at = 0
  return format.replace(
    /%(-?)(0?)(\d*)(?:\.(\d*))?([sdvqtfcobxX%])/g,
    (_, left: string, zero: string, digits: string, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%'
      const word = worded(args[at++], verb, precision === undefined ? undefined : Number(precision))
      const width = `${left}${digits}`
      if (zero !== '' && left === '')
        return word.replace(/^-?/, (sign) => sign + '0'.repeat(Math.max(0, Number(width) - word.length)))
      return width.startsWith('-') ? word.padEnd(-Number(width)) : word.padStart(Number(width))
    },
  )
}

const BASES: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 }

/** A precision cuts texts, and says how many digits behind the point there are. Source: Go's package fmt */
function worded(value: Value, verb: string, precision: number | undefined): string {
  if (typeof value === 'number') return wordedNumber(value, verb, precision)
  const cut = precision === undefined ? shown(value) : Array.from(shown(value)).slice(0, precision).join('')
  return verb === 'q' ? JSON.stringify(cut) : cut
}

function wordedNumber(value: number, verb: string, precision = 6): string {
  if (verb === 'q') return JSON.stringify(text(value))
  if (verb === 'f') return value.toFixed(precision)
  if (verb === 'c') return String.fromCodePoint(value)
  const digits = value.toString(BASES[verb] ?? 10)
  return verb === 'X' ? digits.toUpperCase() : digits
}

const wrong = (reason: string, hint?: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'print in the format that was asked for',
    reason: `template: ${reason}`,
    ...(hint === undefined ? {} : { hint }),
  })
