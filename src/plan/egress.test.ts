import { expect, test } from 'bun:test'
import { linesOf, undoOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import { type EgressRequest, endRelay, planEgress, planRelay } from './egress.ts'

const egress: EgressRequest = {
  relay: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46),
  policy: '/run/coffer/lib-1-2/1.relay',
  listeners: [
    { address: { bytes: Uint8Array.of(198, 18, 1, 0) }, port: 443 },
    { address: { bytes: Uint8Array.of(0x20, 1, 0, 2, ...new Array<number>(10).fill(0), 1, 0) }, port: 443 },
  ],
  hasIpv6: true,
}
const cgroup = { open: [], cloneInto: slot('cgroup'), join: [] }

test('init makes every address one of lo, and hands the sockets over before anything runs in its namespace', () => {
  const lines = linesOf(planEgress(egress))
  expect(lines).toContain(
    `listener-1 = socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK)
setsockopt(listener-1, SOL_SOCKET, SO_REUSEADDR, <4 bytes>)
setsockopt(listener-1, SOL_IPV6, IPV6_V6ONLY, <4 bytes>)
setsockopt(listener-1, SOL_IPV6, IPV6_FREEBIND, <4 bytes>)
bind(listener-1, [2001:2::100]:443)
listen(listener-1, 128)`,
  )
  expect(lines.match(/^bind/gm)?.length).toBe(4)
  expect(lines.match(/SO_ATTACH_FILTER/g)?.length).toBe(4)
  expect(lines.split('\n').at(-1)).toContain('control={level=SOL_SOCKET, type=SCM_RIGHTS')
})

test('without IPv6 there is nothing of it', () => {
  expect(linesOf(planEgress({ ...egress, hasIpv6: false }))).not.toContain('AF_INET6')
  expect(linesOf(planRelay({ ...egress, hasIpv6: false }, cgroup, { isRootless: false }))).not.toContain('listener-1')
})

test('the relay is born in the cgroup, is nobody, and is taken back with a start that fails', () => {
  const steps = planRelay(egress, cgroup, { isRootless: false })
  const lines = linesOf(steps)
  expect(lines).toContain('cgroup=cgroup')
  expect(lines.indexOf('setresuid(65534, 65534, 65534)')).toBeLessThan(lines.indexOf('execveat'))
  expect(lines.indexOf('PR_SET_PDEATHSIG')).toBeGreaterThan(lines.indexOf('setresuid'))
  expect(linesOf(planRelay(egress, cgroup, { isRootless: true }))).not.toContain('setresuid')
  expect(undoOf(steps)).toContain('pidfd_send_signal(relay-pidfd, SIGKILL)')
})

test('nobody but the relay holds its sockets, so that a container is refused where the relay is gone', () => {
  const steps = planRelay(egress, cgroup, { isRootless: false })
  expect(steps.filter(({ call }) => call.name === 'close').length).toBe(1 + 2 + 4 + 2)
})

test('the relay may tell what was refused before it is killed', () => {
  expect(linesOf(endRelay).split('\n')[0]).toContain('pidfd_send_signal(relay-pidfd, SIGTERM)')
})
