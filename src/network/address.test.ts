import { expect, test } from 'bun:test'
import { addressText } from '../linux/address-text.ts'
import {
  isInside,
  nth,
  overlaps,
  parseAddress,
  parseSubnet,
  routedSubnets,
  routedSubnets6,
  subnetText,
} from './address.ts'

const subnet = (text: string): ReturnType<typeof parseSubnet> => parseSubnet(text, 'it')

test('an address is four numbers below 256', () => {
  expect(
    ['10.0.0.1', '255.255.255.255', '0.0.0.0'].map((text) => addressText(parseAddress(text) ?? new Uint8Array(0))),
  ).toEqual(['10.0.0.1', '255.255.255.255', '0.0.0.0'])
  expect(['10.0.0', '10.0.0.256', '010.0.0.1', '1.2.3.4.5', '', 'a.b.c.d', '1.2.3.-4'].map(parseAddress)).toEqual(
    Array(7).fill(undefined),
  )
})

test('a network has an address whose other bits are 0', () => {
  expect(subnetText(subnet('172.30.0.0/16'))).toBe('172.30.0.0/16')
  expect(() => subnet('172.30.1.0/16')).toThrow('"172.30.1.0/16" is no network')
  for (const text of [
    '172.30.0.0',
    '172.30.0.0/33',
    '172.30.0.0/31',
    '/16',
    'x/16',
    'fd00::',
    'fd00::/127',
    'fd00::1/64',
  ])
    expect(() => subnet(text)).toThrow('is no network')
})

test('addresses are counted from the network on, over the borders of bytes', () => {
  expect([0, 1, 256, 65535].map((index) => addressText(nth(subnet('172.30.0.0/16'), index)))).toEqual([
    '172.30.0.0',
    '172.30.0.1',
    '172.30.1.0',
    '172.30.255.255',
  ])
})

test('networks overlap if one has the beginning of the other', () => {
  expect(overlaps(subnet('10.0.0.0/8'), subnet('10.20.0.0/16'))).toBe(true)
  expect(overlaps(subnet('10.20.0.0/16'), subnet('10.0.0.0/8'))).toBe(true)
  expect(overlaps(subnet('10.20.0.0/16'), subnet('10.21.0.0/16'))).toBe(false)
  expect(isInside(subnet('192.168.1.0/24'), Uint8Array.of(192, 168, 2, 1))).toBe(false)
})

test('routes of this machine are read, but for the one to everywhere', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    '',
  ].join('\n')
  expect(routedSubnets(table).map(subnetText)).toEqual(['192.168.2.0/24', '172.17.0.0/16'])
})

test('an address of IPv6 is written the shortest way, whichever way it came', () => {
  const texts = ['fd00:0:0:0:0:0:0:1', '::', '::1', 'FD00::a:0:0:1', '1:0:0:2:0:0:0:3', '1:2:3:4:5:6:7:8', 'fd00::']
  expect(texts.map((text) => addressText(parseAddress(text) ?? new Uint8Array(0)))).toEqual([
    'fd00::1',
    '::',
    '::1',
    'fd00::a:0:0:1',
    '1:0:0:2::3',
    '1:2:3:4:5:6:7:8',
    'fd00::',
  ])
  expect(['1:2', '1::2::3', '12345::', ':1', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8'].map(parseAddress)).toEqual(
    Array(6).fill(undefined),
  )
})

test('networks of IPv6 are counted and compared like those of IPv4, and the two never overlap', () => {
  expect(addressText(nth(subnet('fd00:1::/64'), 0x1_0000))).toBe('fd00:1::1:0')
  expect(overlaps(subnet('fd00::/8'), subnet('fd00:1::/64'))).toBe(true)
  expect(overlaps(subnet('fd00:1::/64'), subnet('fd00:2::/64'))).toBe(false)
  expect(overlaps(subnet('fd00::/8'), subnet('10.0.0.0/8'))).toBe(false)
})

test('routes of IPv6 are read, but for those of each link and to everywhere', () => {
  const zeros = '0'.repeat(32)
  const line = (destination: string, prefix: string): string =>
    `${destination} ${prefix} ${zeros} 00 ${zeros} 00000100 00000001 00000000 00000001     eth0`
  const table = [
    line(`fd000001${'0'.repeat(24)}`, '40'),
    line(`fe80${'0'.repeat(28)}`, '40'),
    line(`ff00${'0'.repeat(28)}`, '08'),
    line(zeros, '00'),
  ].join('\n')
  expect(routedSubnets6(table).map(subnetText)).toEqual(['fd00:1::/64'])
})
