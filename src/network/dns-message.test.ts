import { expect, test } from 'bun:test'
import { answerTo, askFor, NAME_ERROR, readAnswer, readQuestion, TYPE_A, TYPE_AAAA } from './dns-message.ts'

const ask = (name: string, type = TYPE_A): Uint8Array => askFor({ id: 0x1234, name, type })

function question(message: Uint8Array) {
  const read = readQuestion(message)
  if (read === undefined || 'code' in read) throw new Error('no question')
  return read
}

test('a question is read, in lower case and with what is no letter escaped', () => {
  const read = question(ask('WWW.Example.com', TYPE_AAAA))
  expect([read.id, read.name, read.type, read.isInternet]).toEqual([0x1234, 'www.example.com', TYPE_AAAA, true])
  expect(question(ask('a b.\x1b[31m')).name).toBe('a\\032b.\\027\\09131m')
})

test('an answer has the question and its addresses, and is read as that', () => {
  const asked = ask('example.com')
  const answer = answerTo(question(asked), { code: 0, addresses: [Uint8Array.of(192, 0, 2, 1)], ttlSeconds: 60 })
  expect(readAnswer(answer, asked)).toEqual({ code: 0, isCut: false, addresses: [Uint8Array.of(192, 0, 2, 1)] })
  expect(readAnswer(answerTo(question(asked), { code: NAME_ERROR }), asked)?.code).toBe(NAME_ERROR)
})

test('an answer to another question is none (S240)', () => {
  const answer = answerTo(question(ask('example.com')), { code: 0, addresses: [Uint8Array.of(192, 0, 2, 1)] })
  expect(readAnswer(answer, askFor({ id: 0x1235, name: 'example.com', type: TYPE_A }))).toBeUndefined()
  expect(readAnswer(answer, ask('example.org'))).toBeUndefined()
  expect(readAnswer(answer, ask('example.com', TYPE_AAAA))).toBeUndefined()
  expect(readAnswer(ask('example.com'), ask('example.com'))).toBeUndefined()
})

test('a name that points elsewhere, is too long, or is cut off is refused, and an answer is not answered (S240)', () => {
  const header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
  const code = (...name: readonly number[]) => {
    const read = readQuestion(Uint8Array.from([...header, ...name]))
    return read === undefined ? undefined : 'code' in read ? read.code : read.name
  }
  expect(code(1, 97, 0, 0, 1, 0, 1)).toBe('a')
  expect(code(0xc0, 12, 0, 1, 0, 1)).toBe(1)
  expect(code(1, 97, 0, 0, 1, 0)).toBe(1)
  expect(code(64, ...new Array(64).fill(97), 0, 0, 1, 0, 1)).toBe(1)
  const label = [63, ...new Array<number>(63).fill(97)]
  expect(code(...label, ...label, ...label, ...label, 0, 0, 1, 0, 1)).toBe(1)
  expect(readQuestion(Uint8Array.from([0, 1, 0x81, 0x80, ...header.slice(4), 1, 97, 0, 0, 1, 0, 1]))).toBeUndefined()
  expect(readQuestion(Uint8Array.of(0, 1, 1))).toBeUndefined()
})

test('20,000 messages that nobody wrote are read without an error, and without an end that is late (S240)', () => {
  let seed = 1
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return (seed >>> 8) % limit
  }
  const asked = ask('example.com')
  const real = [asked, answerTo(question(asked), { code: 0, addresses: [Uint8Array.of(1, 2, 3, 4)] })]
  for (let round = 0; round < 20_000; round++) {
    const message = (real[random(2)] ?? asked).slice(0, 1 + random(60))
    for (let change = random(6); change > 0; change--) message[random(message.length)] = random(256)
    readQuestion(message)
    readAnswer(message, asked)
  }
})
