import { expect, test } from 'bun:test'
import { hasDefaultRoute } from './routes.ts'

const machine = (route: string, route6: string) => ({
  readText: (path: string) => (path.endsWith('ipv6_route') ? route6 : route),
})
const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const NEAR = 'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n'
const ANY = '0'.repeat(32)
const six = (flags: string, device: string): string =>
  `${ANY} 00 ${ANY} 00 fd${'0'.repeat(30)} 00000400 00000003 00000000 ${flags}     ${device}\n`

test('a machine has a way out by a default route of either family, and not by one that refuses', () => {
  expect(hasDefaultRoute(machine(HEAD + NEAR, six('00200200', 'lo')))).toBe(false)
  expect(hasDefaultRoute(machine(`${HEAD}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n`, ''))).toBe(true)
  expect(hasDefaultRoute(machine(HEAD, six('00000003', 'eth0')))).toBe(true)
  expect(hasDefaultRoute({ readText: () => undefined })).toBe(false)
})
