import { expect, test } from 'bun:test'
import { parseJson } from './json.ts'

const read = (text: string) => parseJson(text, 'config.json')

test('an integer that a double would round stays exact', () => {
  expect(read('{"hard": 18446744073709551615, "soft":-9223372036854775807}')).toEqual({
    hard: 18446744073709551615n,
    soft: -9223372036854775807n,
  })
  expect(read('[9223372036854771712]')).toEqual([9223372036854771712n])
  expect(read('9007199254740993')).toBe(9007199254740993n)
})

test('an integer that a double holds stays a number, whatever its length', () => {
  expect(read('[1, 9007199254740991, 1234567890123456, -9007199254740991]')).toEqual([
    1, 9007199254740991, 1234567890123456, -9007199254740991,
  ])
})

test('digits in strings, fractions and exponents are no long integers', () => {
  const text =
    '{"1234567890123456789":"18446744073709551615 \\" 18446744073709551615","a":0.1234567890123456789,"b":12345678901234567e2}'
  expect(read(text)).toEqual(JSON.parse(text))
})

test('a long number is found wherever it stands in the text', () => {
  for (let spaces = 0; spaces < 40; spaces++) {
    expect(read(`${' '.repeat(spaces)}[18446744073709551615]`)).toEqual([18446744073709551615n])
  }
})

test('a string that looks like a part of a document keeps its digits, and numbers beside it stay exact', () => {
  const text = '{"a":"x: 18446744073709551615, y","b":[ -18446744073709551614 ],"c":18446744073709551613}'
  expect(read(text)).toEqual({
    a: 'x: 18446744073709551615, y',
    b: [-18446744073709551614n],
    c: 18446744073709551613n,
  })
})

test('an integer of absurd length is a double', () => {
  expect(read(`[${'9'.repeat(400)}]`)).toEqual([Number.POSITIVE_INFINITY])
})

test('a text that is not JSON is refused with the name of the document', () => {
  for (const text of [
    '{',
    '{"a":}',
    '{18446744073709551615:1}',
    '[00000000000000000001]',
    '[-00000000000000000001]',
    '[1]x',
    '18446744073709551615x',
  ]) {
    expect(() => read(text), text).toThrow('cannot read config.json: it is not JSON: ')
  }
  expect(() => read(' \n')).toThrow('cannot read config.json: it is empty')
})

test('what is no JSON is quoted without its control characters', () => {
  for (const text of ['\u001b[31m', '{"a":1}\u0000', '{\n\u0007', '\u009b0m'])
    try {
      read(text)
      throw new Error('it was read')
    } catch (error) {
      expect((error as Error).message).toMatch(/^cannot read config\.json: it is not JSON: \P{Cc}*$/u)
    }
})

test('the key __proto__ is an ordinary key', () => {
  const parsed = read('{"__proto__":{"polluted":18446744073709551615}}') as { polluted?: unknown }
  expect(parsed.polluted).toBeUndefined()
  expect(Object.keys(parsed)).toEqual(['__proto__'])
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('the last of equal keys wins', () => {
  expect(read('{"a":1,"a":2}')).toEqual({ a: 2 })
})

test('a document nested too deeply is refused, not a crash', () => {
  const deep = '['.repeat(1_000_000) + ']'.repeat(1_000_000)
  try {
    read(deep)
  } catch (error) {
    expect(String(error)).toContain('cannot read config.json')
  }
})
