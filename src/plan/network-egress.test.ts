import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { type NetworkEgress, planHeldWays, planNetworkEgress } from './network-egress.ts'

const egress: NetworkEgress = {
  relay: 5,
  front: 6,
  relayLock: '/run/coffer/.netns/1.relay',
  policyLock: '/run/coffer/.netns/1.policy',
  words: ['coffer', '--egress', '/var/lib/coffer', '/run/coffer', '1'],
  architecture: 'x86_64',
  listeners: [{ address: { bytes: Uint8Array.of(198, 18, 1, 0) }, port: 443 }],
  hasIpv6: false,
}

const steps = planNetworkEgress(egress)
const [policy = '', relay = ''] = steps.flatMap(({ child }) => (child === undefined ? [] : [linesOf(child)]))

/** Whether these are there, in this order. */
function inOrder(lines: string, ...parts: readonly string[]): boolean {
  const places = parts.map((part) => lines.indexOf(part))
  return places.every((place, index) => place > (places[index - 1] ?? -1))
}

test('the policy has lost its privilege when it is ready, and its calls before it is the program', () => {
  const parts = [
    'fcntl(own-lock, F_SETLK',
    'capset(',
    'PR_SET_NO_NEW_PRIVS',
    'write(policy-other-end, "r"',
    'execveat(6',
  ]
  expect([policy, inOrder(policy, ...parts)]).toEqual([policy, true])
  expect(policy).toMatch(/seccomp\(.*\nexecveat\(6, \["coffer", "--egress"/)
})

test('the relay has its sockets from the network of the container, and is nobody in that of this machine', () => {
  const parts = [
    'setns(own-network, CLONE_NEWNET)',
    'bind(listener-0, 198.18.1.0:443)',
    'setns(host-network, CLONE_NEWNET)',
    'fcntl(own-lock, F_SETLK',
    'setresuid(65534, 65534, 65534)',
    'write(relay-other-end, "r"',
    'execveat(5',
  ]
  expect([relay, inOrder(relay, ...parts)]).toEqual([relay, true])
})

test('each has one end of the socket alone, so that it hears when the other has ended', () => {
  const outline = steps.map(({ call, child }) =>
    child === undefined ? linesOf([{ call, why: '', see: [] }]) : 'child',
  )
  const lines = outline.filter((line) => /^child|^close\((?:relays|policys)-end\)/.test(line))
  expect(lines).toEqual(['child', 'close(policys-end)', 'child', 'close(relays-end)'])
  expect(policy).not.toContain('relays-end')
})

test('without root the sockets are made by another process inside, and the relay has them where it is', () => {
  const held = planNetworkEgress({ ...egress, sockets: 7 })
  const [, relay = ''] = held.flatMap(({ child }) => (child === undefined ? [] : [linesOf(child)]))
  expect(linesOf(held.slice(0, 1))).toContain('recvmsg(7')
  for (const part of ['setns(', 'bind(', 'setresuid(']) expect(relay).not.toContain(part)
  expect([relay, inOrder(relay, 'fcntl(own-lock, F_SETLK', 'PR_SET_NO_NEW_PRIVS', 'execveat(5')]).toEqual([relay, true])
  const inside = linesOf(planHeldWays('web', egress, 9).steps)
  expect([inside, inOrder(inside, 'bind(listener-0, 198.18.1.0:443)', 'sendmsg(9')]).toEqual([inside, true])
})
