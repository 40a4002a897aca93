/** Text of a Go template to actions: template.ts runs them. */

import { OperationError } from './errors.ts'

export type Action =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe }
  /** For what follows it, to the end of its block. */
  | { readonly kind: 'declare'; readonly name: string; readonly pipe: Pipe }
  /** What `define` or `block` has named, with a value of its own. */
  | { readonly kind: 'template'; readonly name: string; readonly pipe: Pipe | undefined }
  | (Block & { readonly kind: 'if' | 'with' })
  | (Block & {
      readonly kind: 'range'
      /** Variables for key and value, or for the value. */
      readonly names: readonly string[]
    })

interface Block {
  readonly pipe: Pipe
  readonly body: readonly Action[]
  readonly otherwise: readonly Action[]
}

type Pipe = readonly Command[]

/** A value, or a function and its arguments. */
export type Command = readonly Term[]

export type Term =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'field'; readonly fields: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string; readonly fields: readonly string[] }
  | { readonly kind: 'pipe'; readonly pipe: Pipe; readonly fields: readonly string[] }

export interface ParsedTemplate {
  readonly actions: readonly Action[]
  /** Those of `define` and `block`. */
  readonly named: ReadonlyMap<string, readonly Action[]>
}

/** Throws `invalid`. */
export function parseTemplate(text: string): ParsedTemplate {
  const reader: Reader = { parts: partsOf(text), at: 0, named: new Map() }
  const { actions, end } = actionsOf(reader)
  if (end !== undefined) throw wrong(`unexpected {{${end}}}`)
  return { actions, named: reader.named }
}

interface Part {
  readonly kind: 'text' | 'code'
  readonly text: string
}

function partsOf(text: string): readonly Part[] {
  const parts: Part[] = []
  let rest = text
  for (;;) {
    const begin = rest.indexOf('{{')
    if (begin < 0) return [...parts, { kind: 'text', text: rest }]
    const code = /^\{\{(-\s)?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|(?!\}\}|\s-\}\})[\s\S])*)(\s-)?\}\}/.exec(rest.slice(begin))
    if (code === null) throw wrong('unclosed action')
    const [all, before, body = '', after] = code
    const plain = rest.slice(0, begin)
    parts.push({ kind: 'text', text: before === undefined ? plain : plain.trimEnd() })
    if (!body.trim().startsWith('/*')) parts.push({ kind: 'code', text: body.trim() })
    rest = rest.slice(begin + all.length)
    if (after !== undefined) rest = rest.replace(/^\s+/, '')
  }
}

interface Reader {
  readonly parts: readonly Part[]
  at: number
  readonly named: Map<string, readonly Action[]>
}

/** Up to `end` or `else …`, which is answered, or to the end of the text. */
function actionsOf(reader: Reader): { readonly actions: readonly Action[]; readonly end: string | undefined } {
  const actions: Action[] = []
  for (let part = reader.parts[reader.at]; part !== undefined; part = reader.parts[reader.at]) {
    reader.at++
    if (part.kind === 'text') {
      actions.push({ kind: 'text', text: part.text })
      continue
    }
    const [, word, rest = ''] = /^(end|else|if|with|range|define|template|block)\b\s*([\s\S]*)$/.exec(part.text) ?? []
    if (word === undefined) actions.push(plainOf(part.text))
    else if (word === 'end' || word === 'else') return { actions, end: part.text }
    else actions.push(...(isNaming(word) ? namedOf(reader, word, rest) : [blockOf(reader, word, rest)]))
  }
  return { actions, end: undefined }
}

function plainOf(code: string): Action {
  const [, name, rest] = /^(\$\w+)\s*:=\s*([\s\S]*)$/.exec(code) ?? []
  return name === undefined || rest === undefined
    ? { kind: 'print', pipe: pipeOf(code) }
    : { kind: 'declare', name, pipe: pipeOf(rest) }
}

type Naming = 'define' | 'template' | 'block'

const isNaming = (word: string): word is Naming => /^(?:define|template|block)$/.test(word)

/** `define` prints nothing where it stands, `template` what is defined anywhere, and `block` does both. */
function namedOf(reader: Reader, word: Naming, code: string): readonly Action[] {
  const [, quoted, raw = '', rest = ''] = /^(?:("(?:[^"\\]|\\.)*")|`([^`]*)`)\s*([\s\S]*)$/.exec(code) ?? []
  if (quoted === undefined && raw === '') throw wrong(`{{${word}}} needs a name in quotes`)
  const name = quoted === undefined ? raw : unquoted(quoted)
  if (word !== 'template') {
    if ((rest === '') !== (word === 'define')) throw wrong(`unexpected ${JSON.stringify(rest)} in {{${word}}}`)
    const { actions, end } = actionsOf(reader)
    if (end !== 'end') throw wrong('{{end}} is missing')
    reader.named.set(name, actions)
  }
  return word === 'define' ? [] : [{ kind: 'template', name, pipe: rest === '' ? undefined : pipeOf(rest) }]
}

function blockOf(reader: Reader, word: string, code: string): Action {
  const [, declared, rest] = /^((?:\$\w+\s*,\s*)?\$\w+)\s*:=\s*([\s\S]*)$/.exec(code) ?? []
  const names = declared?.split(',').map((name) => name.trim()) ?? []
  const pipe = pipeOf(rest ?? code)
  const body = actionsOf(reader)
  const block = { pipe, body: body.actions, otherwise: otherwiseOf(reader, body.end) }
  if (word === 'range') return { kind: 'range', names, ...block }
  if (names.length > 0) throw wrong('only range declares variables here')
  return { kind: word === 'if' ? 'if' : 'with', ...block }
}

function otherwiseOf(reader: Reader, end: string | undefined): readonly Action[] {
  if (end === undefined) throw wrong('{{end}} is missing')
  if (end === 'end') return []
  const [, rest] = /^else\s+if\b\s*([\s\S]*)$/.exec(end) ?? []
  // The {{end}} of the inner one is that of both.
  if (rest !== undefined) return [blockOf(reader, 'if', rest)]
  const { actions, end: last } = actionsOf(reader)
  if (last !== 'end') throw wrong('{{end}} is missing')
  return actions
}

const TOKEN =
  /^\s*(?:("(?:[^"\\]|\\.)*")|`([^`]*)`|(-?\d+(?:\.\d+)?)(?![\w.])|(\$\w*)((?:\.\w+)*)|((?:\.\w+)+)|(\.)(?!\w)|([A-Za-z]\w*)|([(|])|(\))((?:\.\w+)*))/

interface Token {
  readonly term?: Term
  readonly sign?: string
  /** Behind a closing parenthesis. */
  readonly fields?: readonly string[]
}

function pipeOf(code: string): Pipe {
  const tokens = tokensOf(code)
  const { pipe, at } = pipeIn(tokens, 0)
  if (at < tokens.length) throw wrong(`unexpected ")" in ${JSON.stringify(code)}`)
  return pipe
}

function tokensOf(code: string): readonly Token[] {
  const tokens: Token[] = []
  let rest = code
  while (rest.trim() !== '') {
    const match = TOKEN.exec(rest)
    if (match === null) throw wrong(`cannot read ${JSON.stringify(rest.trim().slice(0, 40))}`)
    tokens.push(tokenOf(match))
    rest = rest.slice(match[0].length)
  }
  return tokens
}

const fieldsIn = (text: string | undefined): readonly string[] => (text ?? '').split('.').slice(1)

function tokenOf(match: RegExpExecArray): Token {
  const [, quoted, raw, digits, variable, path, fields, dot, word, sign, close, behind] = match
  if (quoted !== undefined) return { term: { kind: 'literal', value: unquoted(quoted) } }
  if (raw !== undefined) return { term: { kind: 'literal', value: raw } }
  if (digits !== undefined) return { term: { kind: 'literal', value: Number(digits) } }
  if (variable !== undefined) return { term: { kind: 'variable', name: variable, fields: fieldsIn(path) } }
  if (fields !== undefined) return { term: { kind: 'field', fields: fieldsIn(fields) } }
  if (dot !== undefined) return { term: { kind: 'field', fields: [] } }
  if (word !== undefined) return { term: wordOf(word) }
  return close === undefined ? { sign: sign ?? '' } : { sign: close, fields: fieldsIn(behind) }
}

const wordOf = (word: string): Term => {
  if (word === 'true' || word === 'false') return { kind: 'literal', value: word === 'true' }
  return word === 'nil' ? { kind: 'literal', value: null } : { kind: 'word', word }
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text))
  } catch (cause) {
    throw wrong(`${text} is no string`, cause)
  }
}

function pipeIn(tokens: readonly Token[], from: number): { readonly pipe: Pipe; readonly at: number } {
  const pipe: Term[][] = [[]]
  let at = from
  for (let token = tokens[at]; token !== undefined && token.sign !== ')'; token = tokens[at]) {
    at++
    if (token.sign === '|') pipe.push([])
    else if (token.sign === '(') {
      const inner = pipeIn(tokens, at)
      if (tokens[inner.at]?.sign !== ')') throw wrong('")" is missing')
      at = inner.at + 1
      pipe[pipe.length - 1]?.push({ kind: 'pipe', pipe: inner.pipe, fields: tokens[inner.at]?.fields ?? [] })
    } else if (token.term !== undefined) pipe[pipe.length - 1]?.push(token.term)
  }
  if (pipe.some((command) => command.length === 0)) throw wrong('missing value for command')
  return { pipe, at }
}

const wrong = (reason: string, cause?: unknown): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'read the format',
    reason: `template parsing error: ${reason}`,
    hint: 'a format is a Go template, such as {{.Name}} or {{json .}}',
    ...(cause === undefined ? {} : { cause }),
  })
