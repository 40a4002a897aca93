import { expect, test } from 'bun:test'
import { utf8, utf8Length } from './bytes.ts'

const PIECES = [
  'a',
  '\u00e9',
  '\u20ac',
  '\u{1f600}',
  '\ud800',
  '\udbff',
  '\udc00',
  '\udc80',
  '\udcff',
  '\udfff',
  '\uffff',
]

test('the length of a text is that of its bytes, wherever a surrogate is alone', () => {
  for (const first of PIECES)
    for (const second of PIECES)
      for (const third of PIECES) {
        const text = first + second + third
        expect([text, utf8Length(text)]).toEqual([text, utf8(text).length])
      }
})

test('text without lone surrogates is encoded as everywhere', () => {
  for (const text of ['', 'a\0b', 'caf\u00e9', '\u{1f600}\uffff\u{10ffff}'])
    expect(utf8(text)).toEqual(new TextEncoder().encode(text))
})

test('a byte that is no UTF-8 is that byte, and any other lone surrogate the replacement character', () => {
  expect([...utf8('\udce9')]).toEqual([0xe9])
  expect(utf8('\ud800\u00e9\udc00')).toEqual(new TextEncoder().encode('\ufffd\u00e9\ufffd'))
})
