/** Networks with addresses of IPv6. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { withNeighbour } from './neighbour.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  engine.must('network', 'create', '--ipv6', '--subnet', 'fd00:86::/64', '--subnet', '10.86.0.0/24', 'six')
})
afterAll(() => engine[Symbol.dispose]())

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
const ask = (address: string, port: number): string => outside('busybox', 'nc', '-w', '1', address, `${port}`).trim()
const forwarding = (): string => outside('cat', '/proc/sys/net/ipv6/conf/all/forwarding').trim()

function serve(name: string, ...flags: readonly string[]): void {
  engine.must(
    'run',
    '-d',
    '--name',
    name,
    '--network',
    'six',
    ...flags,
    'busybox',
    'nc',
    '-ll',
    '-p',
    '80',
    '-e',
    'echo',
    name,
  )
  engine.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')
}

test('a container has an address of each family, a route and a name for both, and reaches its neighbours', () => {
  serve('web')
  engine.must('run', '-d', '--name', 'app', '--network', 'six', '--ip6', 'fd00:86::99', 'busybox', 'sleep', '1000')
  expect(engine.must('exec', 'app', 'ip', '-6', 'addr')).toContain('inet6 fd00:86::99/64 scope global')
  expect(engine.must('exec', 'app', 'ip', '-6', 'route')).toContain('default via fd00:86::1 dev eth0')
  const { GlobalIPv6Address, IPv6Gateway } = JSON.parse(engine.must('inspect', 'web'))[0].NetworkSettings.Networks.six
  expect([GlobalIPv6Address, IPv6Gateway]).toEqual(['fd00:86::2', 'fd00:86::1'])
  expect(engine.must('exec', 'app', 'nslookup', 'web')).toMatch(/Address: 10\.86\.0\.2\n[\s\S]*Address: fd00:86::2\n/)
  expect(engine.must('exec', 'app', 'nslookup', 'fd00:86::2')).toContain('name = web.six')
  expect(engine.must('exec', 'app', 'nc', '-w', '2', 'fd00:86::2', '80')).toBe('web')
  expect(engine.coffer('run', '--network', 'six', '--ip6', 'fd00:86::99', 'busybox', 'true').stderr).toContain(
    'already in use',
  )
  engine.must('rm', '-f', 'web', 'app')
})

test('a port is published on [::] too, reached from this machine, from a neighbour and from outside, and alone (S231, S232)', () => {
  const before = forwarding()
  withNeighbour(249, (near) => {
    near('ip', 'addr', 'add', 'fd00:249::2/64', 'dev', 'near0', 'nodad')
    outside('ip', 'addr', 'add', 'fd00:249::1/64', 'dev', 'near249', 'nodad')
    near('ip', 'route', 'add', 'default', 'via', 'fd00:249::1')
    serve('open', '-p', '8120:80', '-p', '[fd00:249::1]:8121:80', '-p', '0.0.0.0:8122:80')
    expect(engine.must('ps', '--format', '{{.Ports}}')).toBe(
      '0.0.0.0:8120->80/tcp, [::]:8120->80/tcp, [fd00:249::1]:8121->80/tcp, 0.0.0.0:8122->80/tcp',
    )
    const from = (address: string, port: number): string => near('busybox', 'nc', '-w', '1', address, `${port}`).trim()
    expect([ask('fd00:86::1', 8120), ask('127.0.0.1', 8120), from('fd00:249::1', 8120)]).toEqual(Array(3).fill('open'))
    expect([from('fd00:249::1', 8121), ask('fd00:86::1', 8121)]).toEqual(['open', ''])
    // Refused, and not left waiting.
    expect(outside('busybox', 'timeout', '20', 'sh', '-c', 'busybox nc -w 10 ::1 8120; echo $?')).toBe('1\n')
    expect(engine.coffer('run', '-p', '[::1]:8121:80', 'busybox', 'true').stderr).toContain('use 127.0.0.1')
    expect([from('fd00:86::2', 80), from('fd00:249::1', 8122)]).toEqual(['', ''])
    expect(ask('fd00:86::2', 80)).toBe('open')
    // A way out, with this machine's address: the neighbour has no route back to the network.
    near('ip', 'route', 'del', 'default', 'via', 'fd00:249::1')
    expect(engine.must('exec', 'open', 'ping', '-c', '1', '-W', '2', 'fd00:249::2')).toContain('1 packets received')
    expect(forwarding()).toBe('1')
    engine.must('rm', '-f', 'open')
  })
  expect(forwarding()).toBe(before)
})

test('a network without a subnet of IPv6 gets one of RFC 4193, and one of IPv4 alone refuses addresses of it', () => {
  engine.must('network', 'create', '--ipv6', 'made')
  expect(engine.must('network', 'inspect', '-f', '{{(index .IPAM.Config 1).Subnet}}', 'made')).toMatch(
    /^fd[0-9a-f:]+::\/64$/,
  )
  engine.must('network', 'rm', 'made')
  engine.must('network', 'create', 'four')
  const refusal = (...words: readonly string[]): string =>
    engine.coffer('run', '--rm', '--network', 'four', ...words, 'busybox', 'true').stderr
  expect(refusal('-p', '[::]:8123:80')).toContain('its network has none')
  expect(refusal('--ip6', 'fd00::9')).toContain('has no addresses of IPv6')
  expect(engine.coffer('network', 'create', '--subnet', 'fd00:86::/80', '--ipv6', 'wide').stderr).toContain('overlaps')
  expect(engine.coffer('network', 'create', '--subnet', 'fd00:87::/64', 'alone').stderr).toContain('--ipv6')
  engine.must('network', 'rm', 'four')
})
