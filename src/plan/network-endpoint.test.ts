import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { type Endpoint, type Link, planDetach, planEndpoint } from './network-endpoint.ts'

const endpoint = (link: Link): Endpoint => ({
  inside: 'eth0',
  link,
  addresses: [
    { address: Uint8Array.of(10, 0, 0, 2), prefixLength: 24, route: { gateway: Uint8Array.of(10, 0, 0, 1) } },
  ],
  metric: 0,
})
const bridge = {
  device: 'br',
  addresses: [{ address: Uint8Array.of(10, 0, 0, 1), prefixLength: 24 }],
  isolates: false,
  sendsLarge: false,
}
const reasons = (link: Link): readonly string[] => [
  ...new Set(planEndpoint(endpoint(link), '/netns').map(({ why }) => why)),
]

test('the bridge is there before the pair, and the pair has its address before it is a port', () => {
  expect(reasons({ kind: 'bridge', bridge, outside: 'out' })).toEqual([
    'have the bridge br',
    'find the bridge br',
    'give br the address 10.0.0.1/24',
    'switch br on',
    'lead from eth0 of the container to out of this machine',
    'find eth0',
    'give eth0 the address 10.0.0.2/24',
    'switch eth0 on',
    'reach everything else via 10.0.0.1',
    'connect out to the bridge',
    'send segments of the usual size',
  ])
})

test('on a device of this machine nothing of this machine is made, and in a mode l3 nobody is asked for the way', () => {
  expect(reasons({ kind: 'ipvlan', parent: 'lan0', mode: 'l3' })).toEqual([
    'find lan0',
    'have eth0 of the container on lan0',
    'find eth0',
    'give eth0 the address 10.0.0.2/24',
    'switch eth0 on',
    'reach everything else via 10.0.0.1',
  ])
})

test('what was made is removed where its name is its own: the outer end of a pair, the device itself else', () => {
  const lines = (link: Link): string => linesOf(planDetach(endpoint(link)))
  expect(lines({ kind: 'bridge', bridge, outside: 'out' })).toContain('sendto(route')
  expect(lines({ kind: 'macvlan', parent: 'lan0', mode: 'bridge' })).toContain('sendto(inner-route')
})

test('what messages of rtnetlink do is told as commands of ip', () => {
  const typed = planEndpoint(endpoint({ kind: 'bridge', bridge, outside: 'out' }), '/netns').flatMap(
    ({ typed = '?' }) => (typed === '' ? [] : [typed]),
  )
  expect(typed).toEqual([
    'ip link show br || ip link add br type bridge',
    'ip address replace 10.0.0.1/24 dev br',
    'ip link set br up',
    "ip link add out type veth peer name eth0 netns '/netns'",
    "nsenter --net='/netns' ip address replace 10.0.0.2/24 dev eth0",
    "nsenter --net='/netns' ip link set eth0 up",
    "nsenter --net='/netns' ip route add default via 10.0.0.1 dev eth0 metric 0",
    'ip link set out master br up',
    'bridge link set dev out hairpin on',
    'ip link set out gso_ipv4_max_size 524280 2>/dev/null || :; ip link set br gso_ipv4_max_size 65536 2>/dev/null || :',
  ])
})

test('the bridge is told how large segments are, and each port takes the largest', () => {
  const typed = (sendsLarge: boolean): readonly (string | undefined)[] =>
    planEndpoint(endpoint({ kind: 'bridge', bridge: { ...bridge, sendsLarge }, outside: 'out' }), '/netns')
      .filter(({ why }) => why.startsWith('send '))
      .flatMap(({ typed = '' }) => (typed === '' ? [] : [typed]))
  const both = (bytes: number): readonly string[] => [
    `ip link set out gso_ipv4_max_size 524280 2>/dev/null || :; ip link set br gso_ipv4_max_size ${bytes} 2>/dev/null || :`,
  ]
  expect([typed(true), typed(false)]).toEqual([both(524_280), both(65_536)])
})
