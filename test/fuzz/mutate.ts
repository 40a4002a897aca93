/** Changes documents and texts: wrong types, edges of ranges, missing, double and foreign keys, depth, length, odd characters, odd paths. */

import type { Random } from './random.ts'

type Tree = unknown
type Container = Record<string, Tree> | Tree[]

/** A place in a document: a container, and the key in it. */
interface Spot {
  readonly of: Container
  readonly key: string | number
}

const NUMBERS: readonly number[] = [
  0,
  -0,
  1,
  -1,
  1.5,
  7,
  255,
  256,
  4095,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
  5e-324,
]

/** Beyond what a double holds: these stand in the text. */
const DIGITS = [
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775808',
  '-9223372036854775809',
  '1e400',
  `1${'0'.repeat(60)}`,
]

export const ODD_TEXTS: readonly string[] = [
  '',
  ' ',
  '/',
  '//',
  '.',
  '..',
  '../..',
  '../../../../etc/passwd',
  '/..',
  '/../etc',
  '/a/../../b',
  '/proc/self/root',
  '/proc/self/fd/3',
  '/proc/1/ns/net',
  '/dev/../proc',
  '/a//b/./c/',
  'a/b',
  '\0',
  'a\0b',
  '/a\0/../b',
  '\n',
  'a\nb',
  '\t',
  '\u001b[31m',
  'caf\u00e9',
  'cafe\u0301',
  '\ud800',
  '\udc00x',
  '\udce9',
  '\ud83d\ude00',
  '\u202egnp',
  '\ufeff',
  '\u2028',
  '\uffff',
  '%s%n',
  '-x',
  '--',
  '$(true)',
  '"',
  '\\',
  ',',
  ':',
  '=',
  '__proto__',
  'constructor',
  'toString',
  'length',
  'true',
  'null',
  '0',
  '-1',
  '1e3',
  '0x10',
  '٣',
  '99999999999999999999',
]

const isContainer = (value: Tree): value is Container => typeof value === 'object' && value !== null

function spotsOf(root: Container): readonly Spot[] {
  const spots: Spot[] = []
  const visit = (of: Container): void => {
    for (const key of Array.isArray(of) ? of.keys() : Object.keys(of)) {
      spots.push({ of, key })
      const value = at({ of, key })
      if (isContainer(value)) visit(value)
    }
  }
  visit(root)
  return spots
}

const at = ({ of, key }: Spot): Tree => (of as Record<string | number, Tree>)[key]

function put({ of, key }: Spot, value: Tree): void {
  // An assignment to __proto__ is none to a key of that name.
  Object.defineProperty(of, key, { value, writable: true, enumerable: true, configurable: true })
}

function remove({ of, key }: Spot): void {
  if (Array.isArray(of)) of.splice(Number(key), 1)
  else delete of[key]
}

/** A document with a few changes, `most` at most, as text. `others` give it foreign keys and parts. */
export function mutateDocument(random: Random, document: object, others: readonly object[], most = 4): string {
  const root = structuredClone(document) as Container
  for (let changes = 1 + random.below(most); changes > 0; changes--) {
    const spots = spotsOf(root)
    if (spots.length === 0) break
    changeTree(random, random.of(spots), () => random.of(spotsOf(random.of(others) as Container)))
  }
  const text = JSON.stringify(root)
  return random.below(6) === 0 ? changeJson(random, text) : text
}

function changeTree(random: Random, spot: Spot, other: () => Spot): void {
  const value = at(spot)
  const choice = random.below(10)
  if (choice === 0) remove(spot)
  else if (choice === 1) put(spot, anyValue(random))
  else if (choice === 2) put(spot, structuredClone(at(other())))
  else if (choice === 3) put({ of: spot.of, key: newKey(spot, () => other().key) }, structuredClone(value))
  else if (choice === 4) put({ of: spot.of, key: newKey(spot, () => random.of(ODD_TEXTS)) }, structuredClone(value))
  else if (choice === 5 && Array.isArray(value)) value.reverse()
  else put(spot, near(random, value))
}

const newKey = ({ of }: Spot, named: () => string | number): string | number =>
  Array.isArray(of) ? of.length : named()

/** A value of the same type, if it is a scalar. */
function near(random: Random, value: Tree): Tree {
  if (typeof value === 'string') return mutateText(random, value)
  if (typeof value === 'number') return random.below(2) === 0 ? value + random.below(3) - 1 : random.of(NUMBERS)
  if (typeof value === 'boolean') return !value
  return anyValue(random)
}

function anyValue(random: Random): Tree {
  switch (random.below(8)) {
    case 0:
      return null
    case 1:
      return random.below(2) === 0
    case 2:
      return random.of(NUMBERS)
    case 3:
      return random.of(ODD_TEXTS)
    case 4:
      return random.of<() => Tree>([() => [], () => ({}), () => [null], () => [[]], () => ({ '': {} })])()
    case 5:
      return nested(random)
    case 6:
      return random.below(20) === 0
        ? random.of(['a', '/a', '\u00e9', '../']).repeat(40_000)
        : 'a'.repeat(random.below(300))
    default:
      return Array.from({ length: random.below(random.below(20) === 0 ? 5000 : 20) }, () => random.of(ODD_TEXTS))
  }
}

function nested(random: Random): Tree {
  const depth = random.below(random.below(10) === 0 ? 2000 : 20)
  let value: Tree = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

export function mutateText(random: Random, text: string): string {
  const position = random.below(text.length + 1)
  switch (random.below(7)) {
    case 0:
      return random.of(ODD_TEXTS)
    case 1:
      return text.slice(0, position) + random.of(ODD_TEXTS) + text.slice(position)
    case 2:
      return text.slice(0, position)
    case 3:
      return text.slice(position)
    case 4:
      return text + text.slice(position)
    case 5:
      return text.slice(0, position) + String.fromCharCode(random.below(0x180)) + text.slice(position + 1)
    default:
      return text.slice(0, position) + text.slice(position + 1 + random.below(8))
  }
}

/** What no tree has: double keys, integers of many digits, broken JSON, depth that a parser notices. */
function changeJson(random: Random, text: string): string {
  const keys = [...text.matchAll(/"[A-Za-z]+":/g)]
  const key = keys.length === 0 ? undefined : random.of(keys)
  switch (random.below(5)) {
    case 0:
      if (key === undefined) return text
      return `${text.slice(0, key.index)}${key[0]}${JSON.stringify(anyValue(random))},${text.slice(key.index)}`
    case 1:
      return text.replace(/(?<=:)\d+(?=[,}])/, () => random.of(DIGITS))
    case 2:
      return random.of(['\ufeff', ' ', '\n', '[', '/* */', '\0']) + text
    case 3:
      return text.replace('{', () => `{"deep":${'['.repeat(random.below(20_000))}`)
    default:
      return mutateText(random, text)
  }
}
