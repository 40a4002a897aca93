import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import type { Sysctl } from '../oci/sysctl.ts'
import { planSysctl } from './sysctl.ts'

const FORWARD: Sysctl = { name: 'net.ipv4.ip_forward', path: 'net/ipv4/ip_forward', value: '1', namespace: 'network' }

test('a parameter is written strictly below the procfs of the host', () => {
  expect(
    linesOf(planSysctl([FORWARD])),
  ).toBe(`sysctl = openat2(host-proc, "sys/net/ipv4/ip_forward", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
write(sysctl, "1")`)
})

test('a joined namespace that is the host’s keeps its parameters', () => {
  expect(() => planSysctl([FORWARD], (namespace) => namespace === 'network')).toThrow(
    'linux.sysctl["net.ipv4.ip_forward"] would change the host',
  )
})
