import { expect, test } from 'bun:test'
import type { OperationError } from '../base/errors.ts'
import { addressOfName, nameIndexOf, parseRules } from './egress-rules.ts'
import { hostAddressText, parseHostAddress, placeText } from './host-address.ts'

const listeners = (...given: readonly string[]): readonly string[] =>
  parseRules(given, 'network.allow').listeners.map(({ address, port }) => placeText(address, port))

test('a name is listened for at an address of its own of each family, an address at itself', () => {
  expect(listeners('example.com:443', 'EXAMPLE.com.:80', 'b.example:443')).toEqual([
    '198.18.1.0:443',
    '[2001:2::100]:443',
    '198.18.1.0:80',
    '[2001:2::100]:80',
    '198.18.1.1:443',
    '[2001:2::101]:443',
  ])
  expect(listeners('192.0.2.1:80-81', '[2001:DB8::1]:443')).toEqual([
    '192.0.2.1:80',
    '192.0.2.1:81',
    '[2001:db8::1]:443',
  ])
})

test('a port of names that are not known yet is listened on at all addresses, once', () => {
  expect(listeners('*.example.com:443', 'a.example:443', 'a.example:80', '192.0.2.1:443')).toEqual([
    '0.0.0.0:443',
    '[::]:443',
    '198.18.1.0:80',
    '[2001:2::100]:80',
  ])
})

test('what is no host with a port is refused, with what to write instead (S289)', () => {
  const refusal = (given: string): string => {
    try {
      parseRules([given], 'network.allow')
      return 'taken'
    } catch (error) {
      return (error as OperationError).message
    }
  }
  const rows = [
    ['example.com', 'is no host with a port'],
    ['http://example.com:80', 'is no host with a port'],
    ['2001:db8::1:80', 'is no host with a port'],
    ['user@example.com:80', 'has neither a name nor an address'],
    ['localhost:80', 'is the container itself'],
    ['*.LocalHost.:80', 'is the container itself'],
    ['*:443', 'has neither a name nor an address'],
    ['a.*.example:443', 'has neither a name nor an address'],
    ['2130706433:80', 'has neither a name nor an address'],
    ['0x7f.1:80', 'has neither a name nor an address'],
    ['0177.0.0.1:80', 'has neither a name nor an address'],
    ['münchen.example:80', 'has neither a name nor an address'],
    ['a..b:80', 'has neither a name nor an address'],
    ['[192.0.2.1]:80', 'has no address of IPv6 in the brackets'],
    ['example.com:*', 'has no port from 1 to 65535'],
    ['example.com:0', 'has no port from 1 to 65535'],
    ['example.com:65536', 'has no port from 1 to 65535'],
    ['example.com:81-80', 'has no port from 1 to 65535'],
    ['example.com:1-65535', 'takes 482 listening sockets'],
  ] as const
  for (const [given, expected] of rows)
    expect([given, refusal(given)]).toEqual([given, expect.stringContaining(expected)])
})

test('an address inside says which name it stands for, and no other does', () => {
  for (const family of [4, 6] as const) expect(nameIndexOf(addressOfName(4711, family))).toBe(4711)
  for (const text of ['198.18.0.255', '198.19.1.0', '2001:2::ff', '2001:2:0:1::100', '10.0.1.0']) {
    const address = parseHostAddress(text)
    if (address === undefined) throw new Error(text)
    expect([hostAddressText(address), nameIndexOf(address)]).toEqual([text, undefined])
  }
})
