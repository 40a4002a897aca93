import { expect, test } from 'bun:test'
import { askFor, readAnswer, TYPE_A, TYPE_AAAA } from './dns-message.ts'
import {
  ANSWER,
  CONNECTION,
  FRAME_BYTES,
  type Frame,
  frameBytes,
  frameReader,
  PLACE_BYTES,
  QUERY,
  REFUSED,
  TARGETS,
} from './egress-frames.ts'
import { makePolicy, type Refused, type Resolved } from './egress-policy.ts'
import { parseRules } from './egress-rules.ts'
import { hostAddressText, parseHostAddress, placeText } from './host-address.ts'

const addressOf = (text: string) => {
  const address = parseHostAddress(text)
  if (address === undefined) throw new Error(text)
  return address
}

/** A relay that asks; names are what `hosts` says at the moment. */
function relay(allow: readonly string[], hosts: Record<string, readonly string[] | undefined>) {
  const answers: Frame[] = []
  const refused: Refused[] = []
  const asked: string[] = []
  const clock = { ms: 0 }
  const read = frameReader((frame) => answers.push(frame))
  const policy = makePolicy({
    rules: parseRules(allow, 'allow'),
    send: read,
    resolve: (name, done) => {
      asked.push(name)
      done(name in hosts ? (hosts[name]?.map(addressOf) satisfies Resolved) : [])
    },
    onRefused: (one) => refused.push(one),
    now: () => clock.ms,
  })
  const last = (): Frame => answers[answers.length - 1] ?? { kind: 0, id: 0, bytes: new Uint8Array() }
  return {
    asked,
    refused,
    clock,
    /** The addresses that a name stands for, or the code of the answer. */
    query: (name: string, type = TYPE_A): readonly string[] | number | undefined => {
      const bytes = askFor({ id: 7, name, type })
      policy({ kind: QUERY, id: 0xffffffff, place: { address: addressOf('127.0.0.1'), port: 999 }, bytes })
      const answer = last()
      expect([answer.kind, answer.id, answer.place?.port]).toEqual([ANSWER, 0xffffffff, 999])
      const found = readAnswer(answer.bytes, bytes)
      if (found === undefined || found.code !== 0) return found?.code
      return found.addresses.map((one) => hostAddressText({ family: one.length === 4 ? 4 : 6, bytes: one }))
    },
    /** Where a connection leads. */
    connect: (to: string, port: number): readonly string[] => {
      policy({ kind: CONNECTION, id: 3, place: { address: addressOf(to), port }, bytes: new Uint8Array() })
      const { kind, id, bytes } = last()
      expect([kind, id]).toEqual([TARGETS, 3])
      return Array.from({ length: bytes.length / PLACE_BYTES }, (_, index) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset + index * PLACE_BYTES)
        const family = view.getUint16(0, true) === 4 ? 4 : 6
        const at = bytes.byteOffset + index * PLACE_BYTES + 4
        const address = { family, bytes: new Uint8Array(bytes.buffer, at, family === 4 ? 4 : 16) } as const
        return placeText(address, view.getUint16(2, true))
      })
    },
    packet: (id: number, hex: string, from?: string) => {
      const place = from === undefined ? {} : { place: { address: addressOf(from), port: 0 } }
      const bytes = Uint8Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
      policy({ kind: REFUSED, id, bytes, ...place })
    },
  }
}

test('a name that is allowed stands for an address inside, and leads to its addresses outside', () => {
  const { query, connect, refused } = relay(['example.com:443'], { 'example.com': ['203.0.113.1', '2001:db8::1'] })
  expect(query('Example.COM')).toEqual(['198.18.1.0'])
  expect(query('example.com', TYPE_AAAA)).toEqual(['2001:2::100'])
  expect(query('example.com', 16)).toEqual([])
  expect(connect('198.18.1.0', 443)).toEqual(['203.0.113.1:443', '[2001:db8::1]:443'])
  expect(refused).toEqual([])
})

test('another name does not exist, and nobody is asked for it (S236, S289)', () => {
  const { query, asked, refused } = relay(['example.com:443'], { 'a.example.com': ['203.0.113.1'] })
  for (const name of ['a.example.com', 'example.com.evil', 'xexample.com', 'c2VjcmV0.evil.example'])
    expect(query(name)).toBe(3)
  expect(query('1.0.0.127.in-addr.arpa', 12)).toBe(3)
  expect(asked).toEqual([])
  expect(refused.map(({ name }) => name)).toEqual([
    'a.example.com',
    'example.com.evil',
    'xexample.com',
    'c2vjcmv0.evil.example',
  ])
})

test('a name leads to another port, and an address that is nobody to nothing', () => {
  const { connect, refused } = relay(['a.example:443', 'b.example:80', '192.0.2.1:80'], {})
  expect(connect('198.18.1.0', 80)).toEqual([])
  expect(connect('198.18.2.0', 443)).toEqual([])
  expect(connect('192.0.2.1', 81)).toEqual([])
  expect(connect('192.0.2.1', 80)).toEqual(['192.0.2.1:80'])
  expect(refused.map(({ name, errno }) => `${name} ${errno}`)).toEqual([
    'a.example:80 ECONNRESET',
    '198.18.2.0:443 ECONNRESET',
    '192.0.2.1:81 ECONNRESET',
  ])
})

test('a name does not lead to this machine or its neighbourhood, unless the address is allowed with that port (S242, S289)', () => {
  const near = ['127.0.0.1', '10.0.0.5', '169.254.169.254', '::1', '::ffff:7f00:1', 'fd00::1']
  const { connect, refused } = relay(['evil.example:80', '10.0.0.5:80', '169.254.169.254:81'], { 'evil.example': near })
  expect(connect('198.18.1.0', 80)).toEqual(['10.0.0.5:80'])
  const other = relay(['evil.example:80'], { 'evil.example': ['169.254.169.254'] })
  expect(other.connect('198.18.1.0', 80)).toEqual([])
  expect(other.refused.map(({ name }) => name)).toEqual(['evil.example:80 (169.254.169.254)'])
  expect(refused).toEqual([])
})

test('a name that changes what it stands for is looked at again for each connection, but for what was just asked (S289)', () => {
  const hosts: Record<string, readonly string[]> = { 'evil.example': ['203.0.113.1'] }
  const { query, connect, clock, asked } = relay(['evil.example:80'], hosts)
  expect(query('evil.example')).toEqual(['198.18.1.0'])
  hosts['evil.example'] = ['127.0.0.1']
  expect(connect('198.18.1.0', 80)).toEqual(['203.0.113.1:80'])
  clock.ms += 10_000
  expect(connect('198.18.1.0', 80)).toEqual([])
  expect(asked.length).toBe(2)
})

test('a wildcard brings names as they are asked for, up to 4,096, and is not itself one', () => {
  const hosts: Record<string, readonly string[]> = {
    'a.example.com': ['203.0.113.1'],
    'b.c.example.com': ['203.0.113.2'],
  }
  const { query, connect, clock } = relay(['*.example.com:443'], hosts)
  expect(query('example.com')).toBe(3)
  expect(query('no.example.com')).toBe(3)
  expect([query('a.example.com'), query('b.c.example.com')]).toEqual([['198.18.1.0'], ['198.18.1.1']])
  expect(connect('198.18.1.1', 443)).toEqual(['203.0.113.2:443'])
  const answers = Array.from({ length: 5000 }, (_, index) => {
    clock.ms += 50
    hosts[`n${index}.example.com`] = ['203.0.113.1']
    return query(`n${index}.example.com`)
  })
  expect(answers.filter((answer) => answer === 2).length).toBe(5000 - 4094)
})

test('a container that asks for name after name is heard outside 200 times, and then 20 times a second (S240)', () => {
  const { query, asked, clock } = relay(['*.example.com:443'], {})
  const askAll = (count: number, name: string) => {
    for (let index = 0; index < count; index++) query(`${name}${index}.example.com`)
    return asked.length
  }
  expect(askAll(1000, 'a')).toBe(200)
  expect(query('b.example.com')).toBe(2)
  clock.ms += 1000
  expect(askAll(1000, 'c')).toBe(220)
})

test('what could not be found out is a failure, and no name that does not exist', () => {
  const { query, connect } = relay(['a.example:1'], { 'a.example': undefined })
  expect(query('a.example')).toBe(2)
  expect(connect('198.18.1.0', 1)).toEqual([])
})

test('what the kernel refused is told by the name that was meant, once a second', () => {
  const { packet, refused, clock } = relay(['example.com:443'], {})
  const reset = '45000028 00000000 40060000 c6120100 c6120100 0016c800 00000000 00000000 00000000'
  packet(0, reset)
  packet(0, reset)
  clock.ms += 1000
  packet(0, reset)
  const four = '4500001c 00000000 40110000 7f000001 08080808 c8000035 00080000'
  packet(1, `45000038 00000000 40010000 08080808 7f000001 03030000 00000000 ${four}`)
  packet(2, '0017c800', '2001:2::100')
  const six = `60000000 00081140 ${'0'.repeat(32)} 20010db8000000000000000000000001 c80001bb 00080000`
  packet(3, `01040000 00000000 ${six}`)
  for (const index of [0, 1, 2, 3, 4]) for (const bytes of ['', '45', '60', '010400']) packet(index, bytes)
  expect(refused.map(({ name }) => name)).toEqual([
    'example.com:22',
    'example.com:22',
    '8.8.8.8:53/udp',
    'example.com:23',
    '[2001:db8::1]:443/udp',
  ])
})

test('frames come whole, however the stream is cut', () => {
  const frames: Frame[] = []
  const read = frameReader((frame) => frames.push(frame))
  const place = { address: addressOf('2001:db8::1'), port: 443 }
  const all = [1, 2, 3].flatMap((id) => [...frameBytes({ kind: QUERY, id, place, bytes: Uint8Array.of(id) })])
  for (const byte of all) read(Uint8Array.of(byte))
  expect(frames.map(({ id, bytes, place: at }) => [id, bytes[0], at && placeText(at.address, at.port)])).toEqual(
    [1, 2, 3].map((id) => [id, id, '[2001:db8::1]:443']),
  )
  expect(all.length).toBe(3 * (FRAME_BYTES + 1))
})
