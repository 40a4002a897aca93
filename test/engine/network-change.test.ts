/** Networks and ports of a container that change while it is there, and what networks keep apart. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../kernel/leaks.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { withNeighbour } from './neighbour.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  engine.must('network', 'create', '--subnet', '10.81.0.0/24', 'one')
  engine.must('network', 'create', '--subnet', '10.82.0.0/24', 'two')
  engine.must('network', 'create', '--subnet', '10.83.0.0/24', '--internal', 'closed')
})
afterAll(() => engine[Symbol.dispose]())

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
const ask = (address: string, port: number): string => outside('busybox', 'nc', '-w', '1', address, `${port}`).trim()
const askFrom = (name: string, address: string, port: number): string =>
  engine.coffer('exec', name, 'nc', '-w', '1', address, `${port}`).stdout.trim()
const refusal = (...words: readonly string[]): string => engine.coffer(...words).stderr

function serve(name: string, ...flags: readonly string[]): void {
  const server = 'nc -ll -p 81 -e echo "$0" & exec nc -ll -p 80 -e echo "$0"'
  engine.must('run', '-d', '--name', name, ...flags, 'busybox', 'sh', '-c', server, name)
  engine.must(
    'exec',
    name,
    'sh',
    '-c',
    'until netstat -ltn | grep -q ":80 " && netstat -ltn | grep -q ":81 "; do :; done',
  )
}

const addresses = (name: string): readonly string[] =>
  [...engine.must('exec', name, 'ip', '-4', 'addr').matchAll(/inet (10\.\S+) .* (eth\d)/g)].map(
    ([, address, device]) => `${device} ${address}`,
  )
const portsOf = (name: string): string => engine.must('ps', '--filter', `name=${name}`, '--format', '{{.Ports}}')
const networks = (name: string): string =>
  engine.must('inspect', '-f', '{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}', name).trim()

describe('a container', () => {
  test('is in several networks from its start, with an address in each', () => {
    serve('both', '--network', 'one', '--network', 'name=two,ip=10.82.0.77,mac-address=02:00:00:00:00:77')
    expect(addresses('both')).toEqual(['eth0 10.81.0.2/24', 'eth1 10.82.0.77/24'])
    expect(engine.must('exec', 'both', 'ip', 'link', 'show', 'eth1')).toContain('02:00:00:00:00:77')
    expect(networks('both')).toBe('one two')
    expect(engine.must('exec', 'both', 'ip', 'route')).toStartWith('default via 10.81.0.1 dev eth0')
    engine.must('rm', '-f', 'both')
    // The kernel takes them away behind the network namespace, a moment later.
    until('the end of its devices', () => outside('ip', '-br', 'link', 'show', 'type', 'veth') === '')
  })

  test('is connected and disconnected while it runs, and its ports move along', () => {
    serve('moving', '--network', 'one', '-p', '8090:80')
    engine.must('network', 'connect', '--ip', '10.82.0.9', 'two', 'moving')
    expect(addresses('moving')).toEqual(['eth0 10.81.0.2/24', 'eth1 10.82.0.9/24'])
    expect([ask('10.82.0.9', 80), ask('127.0.0.1', 8090)]).toEqual(['moving', 'moving'])
    engine.must('network', 'disconnect', 'one', 'moving')
    expect(addresses('moving')).toEqual(['eth1 10.82.0.9/24'])
    expect(engine.must('exec', 'moving', 'ip', 'route')).toStartWith('default via 10.82.0.1 dev eth1')
    expect([ask('127.0.0.1', 8090), engine.must('exec', 'moving', 'cat', '/etc/hosts').includes('10.81.0.2')]).toEqual([
      'moving',
      false,
    ])
    engine.must('network', 'disconnect', 'two', 'moving')
    expect([addresses('moving'), networks('moving'), ask('127.0.0.1', 8090)]).toEqual([[], '', ''])
    engine.must('network', 'connect', 'one', 'moving')
    expect(ask('127.0.0.1', 8090)).toBe('moving')
    engine.must('restart', '-t', '0', 'moving')
    expect(networks('moving')).toBe('one')
    engine.must('rm', '-f', 'moving')
  })

  test('that does not run is connected at its next start', () => {
    engine.must('create', '--name', 'later', '--network', 'one', 'busybox', 'sleep', '1000')
    engine.must('network', 'connect', 'two', 'later')
    engine.must('network', 'disconnect', 'one', 'later')
    engine.must('start', 'later')
    expect([addresses('later'), networks('later')]).toEqual([['eth0 10.82.0.2/24'], 'two'])
    engine.must('rm', '-f', 'later')
  })

  test('is not connected twice, nor disconnected from where it is not, nor with the network of another', () => {
    engine.must('run', '-d', '--name', 'there', '--network', 'one', 'busybox', 'sleep', '1000')
    engine.must('run', '-d', '--name', 'alone', '--network', 'none', 'busybox', 'sleep', '1000')
    expect(refusal('network', 'connect', 'one', 'there')).toContain('already exists in network one')
    expect(refusal('network', 'disconnect', 'two', 'there')).toContain('is not connected to network two')
    expect(refusal('network', 'connect', 'one', 'alone')).toContain('private (none) mode')
    expect(refusal('network', 'connect', '--ip', '10.99.0.1', 'two', 'there')).toContain('it is none of 10.82.0.0/24')
    expect([addresses('there').length, readdirSync(join(engine.dataRoot, 'networks/two/leases'))]).toEqual([1, []])
    expect(refusal('run', '--network', 'one', '--network', 'none', 'busybox', 'true')).toContain('conflicting options')
    engine.must('rm', '-f', 'there', 'alone')
  })
})

describe('ports', () => {
  test('are added to one that runs and taken away, and both last', () => {
    serve('changing', '-p', '8091:80')
    engine.must('update', '--publish-add', '8092:81', '--publish-add', '127.0.0.1:8093:80', 'changing')
    expect([8091, 8092, 8093].map((port) => ask('127.0.0.1', port))).toEqual(Array(3).fill('changing'))
    engine.must('update', '--publish-rm', '8091:80', '--publish-rm', '81', 'changing')
    expect([8091, 8092, 8093].map((port) => ask('127.0.0.1', port))).toEqual(['', '', 'changing'])
    expect(portsOf('changing')).toBe('127.0.0.1:8093->80/tcp')
    expect(refusal('update', '--publish-rm', '8091:80', 'changing')).toContain('it does not publish 8091:80/tcp')
    engine.must('run', '--rm', '-p', '8091:80', 'busybox', 'true')
    engine.must('restart', '-t', '0', 'changing')
    expect(portsOf('changing')).toBe('127.0.0.1:8093->80/tcp')
    engine.must('rm', '-f', 'changing')
  })

  test('are those that it exposes, ranges, and the first that is free of several', () => {
    engine.must(
      'run',
      '-d',
      '--name',
      'many',
      '-P',
      '--expose',
      '80',
      '--expose',
      '53/udp',
      '-p',
      '8100-8101:90-91',
      '-p',
      '8100-8105:92',
      'busybox',
      'sleep',
      '1000',
    )
    const { Ports } = JSON.parse(engine.must('inspect', 'many'))[0].NetworkSettings
    expect(Object.keys(Ports).sort()).toEqual(['53/udp', '80/tcp', '90/tcp', '91/tcp', '92/tcp'])
    expect([Ports['90/tcp'][0].HostPort, Ports['91/tcp'][0].HostPort, Ports['92/tcp'][0].HostPort]).toEqual([
      '8100',
      '8101',
      '8102',
    ])
    expect(Number(Ports['53/udp'][0].HostPort)).toBeGreaterThan(32767)
    engine.must('rm', '-f', 'many')
  })

  test('of udp are reached, those of programs and of absent addresses are refused, and nothing is left then (S234)', async () => {
    const id = engine.must('run', '-d', '--name', 'udp', '-p', '8106:7/udp', 'busybox', 'sleep', '1000')
    const echo = `await Bun.udpSocket({ port: 7, socket: { data: (socket, text, port, host) => { socket.send(text, port, host) } } }); console.log()`
    const enter = ['nsenter', `--net=${join(engine.runRoot, '.netns', id)}`]
    const server = Bun.spawn([...enter, process.execPath, '-e', echo], { stdout: 'pipe' })
    await server.stdout.getReader().read()
    expect(await echoOf('hello', '127.0.0.1', 8106)).toBe('hello')
    server.kill()
    using listener = Bun.listen({ hostname: '127.0.0.1', port: 8107, socket: { data: () => undefined } })
    expect(listener.port).toBe(8107)
    expect(refusal('run', '--rm', '-p', '8107:80', 'busybox', 'true')).toContain('address already in use')
    expect(refusal('run', '--rm', '-p', '10.250.0.1:8108:80', 'busybox', 'true')).toContain(
      'cannot assign requested address',
    )
    expect(refusal('run', '--rm', '-p', '8108:80', '-p', '8106:80/udp', 'busybox', 'true')).toContain(
      'port is already allocated',
    )
    expect(refusal('run', '--rm', '-p', '127.0.0.1:8106:80/udp', 'busybox', 'true')).toContain(
      'port is already allocated',
    )
    expect(readdirSync(join(engine.dataRoot, 'networks/.ports'))).toEqual(['udp-8106'])
    engine.must('rm', '-f', 'udp')
    expect(readdirSync(join(engine.dataRoot, 'networks/.ports'))).toEqual([])
  })

  test('are not for internal networks, which nobody outside reaches', () => {
    expect(refusal('run', '--rm', '--network', 'closed', '-p', '8109:80', 'busybox', 'true')).toContain('internal')
  })
})

async function echoOf(text: string, hostname: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = await Bun.udpSocket({
    connect: { hostname, port },
    socket: { data: (_, reply) => resolve(reply.toString()) },
  })
  socket.send(text)
  try {
    return await promise
  } finally {
    socket.close()
  }
}

describe('neighbours of this machine', () => {
  test('reach what is published, and nothing else of a container (S231, S232)', () => {
    withNeighbour(251, (near) => {
      serve('guarded', '--network', 'one', '-p', '8110:80', '-p', '127.0.0.1:8111:80')
      const from = (address: string, port: number): string =>
        near('busybox', 'nc', '-w', '1', address, `${port}`).trim()
      expect(from('192.168.251.1', 8110)).toBe('guarded')
      // This machine itself does.
      expect([ask('10.81.0.2', 80), ask('127.0.0.1', 8111)]).toEqual(['guarded', 'guarded'])
      expect([from('10.81.0.2', 80), from('10.81.0.2', 81), from('192.168.251.1', 8111)]).toEqual(['', '', ''])
      near('sysctl', '-w', 'net.ipv4.conf.all.route_localnet=1')
      near('ip', 'route', 'add', '127.0.0.9/32', 'via', '192.168.251.1')
      engine.must('update', '--publish-add', '127.0.0.9:8112:80', 'guarded')
      expect([ask('127.0.0.9', 8112), from('127.0.0.9', 8112)]).toEqual(['guarded', ''])
      engine.must('rm', '-f', 'guarded')
    })
  })

  test('do not reach each other over a machine that routes for containers alone, and routes no more behind the last (S247)', () => {
    const forward = (): string => outside('cat', '/proc/sys/net/ipv4/ip_forward').trim()
    withNeighbour(252, (left) => {
      withNeighbour(253, () => {
        const reaches = (): boolean =>
          left('busybox', 'ping', '-c', '1', '-W', '1', '192.168.253.2').includes(' 0% packet loss')
        outside('sysctl', '-w', 'net.ipv4.ip_forward=1')
        until('the way between them', reaches)
        engine.must('run', '--rm', 'busybox', 'true')
        // What was found switched on stays on.
        expect(forward()).toBe('1')
        until('the way between them', reaches)
        outside('sysctl', '-w', 'net.ipv4.ip_forward=0')
        engine.must('run', '-d', '--name', 'routed', 'busybox', 'sleep', '1000')
        expect([forward(), reaches()]).toEqual(['1', false])
        const ping = ['exec', 'routed', 'ping', '-c', '1', '-W', '1', '192.168.253.2']
        until('the way of the container', () => engine.coffer(...ping).stdout.includes(' 0% packet loss'))
        engine.must('rm', '-f', 'routed')
        expect(forward()).toBe('0')
      })
    })
  })

  test('are kept from a published port by a rule of the administrator (S233)', () => {
    withNeighbour(254, (near) => {
      serve('ruled', '-p', '8113:80')
      const from = (): string => near('busybox', 'nc', '-w', '1', '192.168.254.1', '8113').trim()
      expect(from()).toBe('ruled')
      outside(
        'nft',
        'add table inet mine; add chain inet mine f { type filter hook forward priority -1; }; add rule inet mine f tcp dport 80 drop',
      )
      expect(from()).toBe('')
      outside('nft', 'delete', 'table', 'inet', 'mine')
      engine.must('rm', '-f', 'ruled')
    })
  })
})

test('a firewall of others that drops what is forwarded is left as it is, and told, until it knows the device', () => {
  outside(
    'nft',
    'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }',
  )
  const before = outside('nft', 'list', 'table', 'ip', 'filter')
  withNeighbour(245, () => {
    const run = (): readonly [string, boolean] => {
      const words = ['run', '--rm', 'busybox', 'ping', '-c', '1', '-W', '1', '192.168.245.2']
      const { stderr, stdout } = engine.coffer(...words)
      return [stderr, stdout.includes('1 packets received')]
    }
    const [warning, passes] = run()
    expect([warning, passes]).toEqual([
      expect.stringContaining('the chain FORWARD of the table ip filter drops'),
      false,
    ])
    expect(warning).toContain('iptables -I FORWARD -i coffer0 -j ACCEPT')
    expect(outside('nft', 'list', 'table', 'ip', 'filter')).toBe(before)
    for (const side of ['iifname', 'oifname']) outside('nft', `add rule ip filter FORWARD ${side} coffer0 accept`)
    expect(run()).toEqual(['', true])
  })
  outside('nft', 'delete', 'table', 'ip', 'filter')
})

describe('networks', () => {
  test('are apart, but for what is published; an internal one is apart from that too (S235)', () => {
    serve('first', '--network', 'one', '-p', '8114:80')
    serve('second', '--network', 'two')
    serve('inner', '--network', 'closed')
    serve('next', '--network', 'closed')
    expect(askFrom('second', '10.81.0.2', 80)).toBe('')
    expect(askFrom('second', '10.82.0.1', 8114)).toBe('first')
    expect(askFrom('first', '10.81.0.1', 8114)).toBe('first')
    expect(askFrom('inner', 'next', 80)).toBe('next')
    expect([askFrom('inner', '10.83.0.1', 8114), askFrom('inner', '10.81.0.2', 80)]).toEqual(['', ''])
    engine.must('exec', '--privileged', 'inner', 'ip', 'route', 'add', 'default', 'via', '10.83.0.1')
    expect([askFrom('inner', '10.81.0.2', 80), askFrom('first', '10.83.0.2', 80)]).toEqual(['', ''])
    engine.must('rm', '-f', 'first', 'second', 'inner', 'next')
  })

  test('keep their containers from each other if asked to (S235)', () => {
    engine.must('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'strangers')
    serve('a', '--network', 'strangers')
    serve('b', '--network', 'strangers')
    expect([
      askFrom('a', 'b', 80),
      ask(engine.must('inspect', '-f', '{{.NetworkSettings.Networks.strangers.IPAddress}}', 'b'), 80),
    ]).toEqual(['', 'b'])
    engine.must('rm', '-f', 'a', 'b')
    engine.must('network', 'rm', 'strangers')
  })

  test('do not let a container into the loopback of this machine (S232)', () => {
    engine.must('run', '-d', '--name', 'curious', '--privileged', '-p', '8115:80', 'busybox', 'sleep', '1000')
    using listener = Bun.listen({
      hostname: '0.0.0.0',
      port: 8116,
      socket: { open: (socket) => void socket.end('in\n'), data: () => undefined },
    })
    expect(listener.port).toBe(8116)
    const gateway = engine.must('inspect', '-f', '{{.NetworkSettings.Gateway}}', 'curious')
    const spoofed =
      'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via "$0"'
    engine.must('exec', 'curious', 'sh', '-c', spoofed, gateway)
    outside('tail', '--version')
    expect(engine.must('exec', 'curious', 'ip', 'route', 'get', '127.0.0.1')).toContain('via')
    expect(askFrom('curious', '127.0.0.1', 8116)).toBe('')
    engine.must('rm', '-f', 'curious')
  })

  test('have names and devices that are theirs alone (S246)', () => {
    const device = (name: string): string =>
      refusal('network', 'create', '-o', `com.docker.network.bridge.name=${name}`, 'named')
    for (const name of ['x; drop table', '../x', '%d', 'a-name-of-16-byt', '.'])
      expect(device(name)).toContain('no device can be called that')
    expect(device('lo')).toContain('there is such a device')
    for (const name of ['x; drop table', '../x', '-x'])
      expect(refusal('network', 'create', '--', name)).toContain('it cannot have this name')
    for (const name of ['host', 'none', 'bridge'])
      expect(refusal('network', 'create', name)).toContain(`operation is not permitted on predefined ${name} network`)
    expect(refusal('run', '--network', 'one', '--network-alias', '../x', 'busybox', 'true')).toContain(
      'begin with a letter or digit',
    )
    expect(device('br-own')).toBe('')
    engine.must('run', '-d', '--name', 'seen', '--network', 'named', 'busybox', 'sleep', '1000')
    expect(outside('ip', '-br', 'link')).toContain('br-own')
    engine.must('rm', '-f', 'seen')
    engine.must('network', 'rm', 'named')
  })

  test('give their last address, say when there is none, and go on when one is free again (S244)', () => {
    engine.must('network', 'create', '--subnet', '10.84.0.0/30', 'small')
    engine.must('run', '-d', '--name', 'only', '--network', 'small', 'busybox', 'sleep', '1000')
    expect(refusal('run', '--rm', '--network', 'small', 'busybox', 'true')).toContain('no available addresses')
    engine.must('rm', '-f', 'only')
    writeFileSync(join(engine.dataRoot, 'networks/small/leases/0a540002.new'), '')
    engine.must('run', '--rm', '--network', 'small', 'busybox', 'true')
    engine.must('network', 'rm', 'small')
  })

  test('are listed, filtered, shown and removed as docker does', () => {
    engine.must(
      'network',
      'create',
      '--label',
      'kind=test',
      '--ip-range',
      '10.85.0.128/25',
      '--subnet',
      '10.85.0.0/24',
      'labelled',
    )
    const names = (...words: readonly string[]): string =>
      engine.must('network', 'ls', '--format', '{{.Name}}', ...words)
    expect(names('--filter', 'label=kind=test')).toBe('labelled')
    expect(names('--filter', 'type=builtin', '--filter', 'type=custom', '--filter', 'name=e').split('\n')).toContain(
      'one',
    )
    expect(engine.must('network', 'ls').split('\n')[0]).toBe('NETWORK ID     NAME       DRIVER    SCOPE')
    expect(engine.must('network', 'inspect', '--format', '{{(index .IPAM.Config 0).IPRange}}', 'labelled')).toBe(
      '10.85.0.128/25',
    )
    expect(engine.must('run', '--rm', '--network', 'labelled', 'busybox', 'ip', '-4', 'addr')).toContain(
      '10.85.0.129/24',
    )
    expect(refusal('network', 'rm', 'bridge')).toContain('pre-defined')
    expect(engine.coffer('network', 'rm', 'absent').status).toBe(1)
    expect(engine.must('network', 'rm', '--force', 'absent')).toBe('absent')
    expect(engine.must('network', 'prune', '--force', '--filter', 'label=kind=test')).toBe(
      'Deleted Networks:\nlabelled\n',
    )
    expect(refusal('network', 'inspect', 'labelled')).toContain('not found')
  })
})
