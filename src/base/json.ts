/** JSON without loss: integers too long for a double become bigint. rfc:8259 section 6 leaves precision to the reader. */

import { OperationError } from './errors.ts'

/**
 * The value of a JSON text. Integers of 16 digits and more that a number does not hold exactly are bigint.
 *
 * Of equal keys the last wins. A key `__proto__` is a key like any other. Throws `invalid`, naming `document`.
 */
export function parseJson(text: string, document: string): unknown {
  try {
    const runs = longDigitRuns(text)
    return runs.length === 0 ? JSON.parse(text) : takeMarks(parseMarked(text, runs))
  } catch (cause) {
    throw notJson(text, document, cause)
  }
}

function notJson(text: string, document: string, cause: unknown): OperationError {
  const said = cause instanceof Error ? cause.message : String(cause)
  return new OperationError({
    kind: 'invalid',
    operation: `read ${document}`,
    reason: text.trim() === '' ? 'it is empty' : `it is not JSON: ${said}${lineOf(cause)}`,
    cause,
  })
}

/** QuickJS keeps the line out of its message; other engines have a position in it, or none at all. */
function lineOf(cause: unknown): string {
  const { fileName, lineNumber } = cause as { readonly fileName?: unknown; readonly lineNumber?: unknown }
  return fileName === '<input>' && typeof lineNumber === 'number' ? ` in line ${lineNumber}` : ''
}

// Finding them: most documents have none, and shall not pay.

interface Run {
  readonly start: number
  readonly end: number
}

const LONG = 16

/** A run of 16 digits covers an index that 16 divides, so only those have to be looked at: a sixteenth of the text. */
function longDigitRuns(text: string): readonly Run[] {
  const runs: Run[] = []
  for (let i = 0; i < text.length; i += LONG) {
    if (!isDigit(text.charCodeAt(i))) continue
    const run = runAround(text, i)
    if (run.end - run.start >= LONG) runs.push(run)
    i = run.end - (run.end % LONG)
  }
  return runs
}

function runAround(text: string, index: number): Run {
  let start = index
  let end = index
  while (isDigit(text.charCodeAt(start - 1))) start--
  while (isDigit(text.charCodeAt(end))) end++
  return { start, end }
}

// charCodeAt gives NaN outside of the text, which is no digit.
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

// Marking them: a long integer becomes {"\u0000":"digits"}, and where JSON allows no number, it allows no object either.

// Beyond 40 digits no field can want it, and a double is as good to be refused.
const LONG_INTEGER = /^-?[1-9]\d{15,39}$/
const mark = (integer: string): string => `{"\\u0000":"${integer}"}`

/**
 * Runs that look like a value are marked first. If one was inside of a string after all, the quote in its mark ended that string, and the
 * backslash behind it cannot follow: then the text is taken apart token by token, which is five times slower.
 */
function parseMarked(text: string, runs: readonly Run[]): unknown {
  try {
    return JSON.parse(markRuns(text, runs))
  } catch {
    // Of a text that is no JSON nothing is taken apart: a quote without an end would be looked for from each one on (S309).
    JSON.parse(text)
    return JSON.parse(text.replace(TOKEN, (token) => (LONG_INTEGER.test(token) ? mark(token) : token)))
  }
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g

function markRuns(text: string, runs: readonly Run[]): string {
  let marked = ''
  let done = 0
  for (const { start, end } of runs) {
    const from = text[start - 1] === '-' ? start - 1 : start
    const integer = text.slice(from, end)
    if (!LONG_INTEGER.test(integer) || !isValue(text, from, end)) continue
    marked += text.slice(done, from) + mark(integer)
    done = end
  }
  return marked + text.slice(done)
}

const BEFORE_VALUE = ':,[ \n\r\t'
const AFTER_VALUE = ',]} \n\r\t'

const isValue = (text: string, from: number, end: number): boolean =>
  (from === 0 || BEFORE_VALUE.includes(text.charAt(from - 1))) &&
  (end === text.length || AFTER_VALUE.includes(text.charAt(end)))

/** The same value with integers instead of marks. */
function takeMarks(value: unknown): unknown {
  if (Array.isArray(value)) {
    value.forEach((item: unknown, i) => {
      if (typeof item === 'object') value[i] = takeMarks(item)
    })
    return value
  }
  return typeof value === 'object' && value !== null ? takeMarksOfObject(value as JsonObject) : value
}

type JsonObject = { [key: string]: unknown }

function takeMarksOfObject(object: JsonObject): unknown {
  const digits = object['\0']
  if (typeof digits === 'string' && LONG_INTEGER.test(digits)) return integerOf(digits)
  // The properties are the object's own, so that an assignment to __proto__ changes that property and no prototype.
  for (const key of Object.keys(object)) {
    if (typeof object[key] === 'object') object[key] = takeMarks(object[key])
  }
  return object
}

function integerOf(digits: string): number | bigint {
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : BigInt(digits)
}

/** What JSON has. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
