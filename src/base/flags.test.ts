import { expect, test } from 'bun:test'
import { type Flag, parseFlags } from './flags.ts'

const FLAGS: readonly Flag[] = [
  { name: 'mount', short: 'm', type: 'optional', help: '' },
  { name: 'net', short: 'n', type: 'optional', help: '' },
  { name: 'all', short: 'a', type: 'bool', help: '' },
  { name: 'target', short: 't', type: 'int', help: '' },
  { name: 'env', short: 'e', type: 'list', help: '' },
]
const parse = (...words: readonly string[]): readonly unknown[] => {
  const given = parseFlags(words, FLAGS, 'tool')
  return [
    given.string('mount'),
    given.string('net'),
    given.bool('all'),
    given.int('target'),
    given.list('env'),
    given.rest,
  ]
}

test('an optional value stands in the same word, and the next word is an operand', () => {
  expect(parse('--net', 'ip')).toEqual([undefined, '', false, undefined, [], ['ip']])
  expect(parse('--net=/run/netns/a', 'ip')).toEqual([undefined, '/run/netns/a', false, undefined, [], ['ip']])
  expect(parse('-n/run/netns/a=b', 'ip')).toEqual([undefined, '/run/netns/a=b', false, undefined, [], ['ip']])
})

test('letters stand together, and the last one takes a value from its word or the next', () => {
  expect(parse('-amn', '-t7', 'sh')).toEqual(['', '', true, 7, [], ['sh']])
  expect(parse('-amt', '7', 'sh')).toEqual(['', undefined, true, 7, [], ['sh']])
  expect(parse('-at7', 'sh')).toEqual([undefined, undefined, true, 7, [], ['sh']])
  expect(parse('-eA=b=c', '-e', 'D', 'sh')).toEqual([undefined, undefined, false, undefined, ['A=b=c', 'D'], ['sh']])
})

test('letters that stand together may end with a value, which is that of the last one', () => {
  const some: readonly Flag[] = ['i', 't'].map((short) => ({ name: `long-${short}`, short, type: 'bool', help: '' }))
  const of = (...words: readonly string[]): readonly boolean[] => {
    const given = parseFlags(words, some, 'coffer x')
    return ['long-i', 'long-t'].map(given.bool)
  }
  expect([of('-ti=false'), of('-ti=true'), of('-it=0'), of('-t=false')]).toEqual([
    [false, true],
    [true, true],
    [true, false],
    [false, false],
  ])
  expect(() => of('-ti=maybe')).toThrow('it has no flag -ti')
})

test('a letter that is none, or a value that is missing, is refused with the whole word', () => {
  expect(() => parse('-axn')).toThrow('it has no flag -axn')
  expect(() => parse('-atx')).toThrow('it has no flag -atx')
  expect(() => parse('--target')).toThrow('--target needs a value')
})
