/** Who reaches whom, tried by those who should not: a neighbour of this machine with a route to its containers, and a container with raw sockets. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../kernel/leaks.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

const NEIGHBOUR = '10.98.0.2'
const THIS = '10.98.0.1'

let engine: TestEngine
let neighbour: Bun.Subprocess
const outside = (...words: readonly string[]): string => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...words])
  if (exitCode !== 0) throw new Error(`${words.join(' ')}: ${stderr.toString()}`)
  return stdout.toString()
}

/** In the network namespace of the neighbour. */
const beside = (...words: readonly string[]): string =>
  Bun.spawnSync(['nsenter', `--net=/proc/${neighbour.pid}/ns/net`, ...words]).stdout.toString()

beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  neighbour = Bun.spawn(['unshare', '--net', 'sh', '-c', 'echo; exec sleep 1000'], { stdout: 'pipe' })
})
beforeAll(async () => {
  // Behind its first line it is in its own network.
  await (neighbour.stdout as ReadableStream<Uint8Array>).getReader().read()
  outside('ip', 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'lan', 'netns', `${neighbour.pid}`)
  outside('ip', 'address', 'add', `${THIS}/24`, 'dev', 'lan')
  outside('ip', 'link', 'set', 'lan', 'up')
  beside('ip', 'address', 'add', `${NEIGHBOUR}/24`, 'dev', 'lan')
  beside('ip', 'link', 'set', 'lan', 'up')
  beside('ip', 'route', 'add', '172.16.0.0/12', 'via', THIS)
})
afterEach(() => {
  for (const id of engine.must('ps', '-aq').split('\n').filter(Boolean)) engine.must('rm', '-f', id)
})
afterAll(() => {
  // With its network goes the device that leads there.
  neighbour.kill()
  engine[Symbol.dispose]()
})

function serve(name: string, ...flags: readonly string[]): string {
  engine.must('run', '-d', '--name', name, ...flags, 'busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', name)
  // It listens from some moment on.
  engine.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')
  return engine.must('exec', name, 'sh', '-c', 'ip -4 -o addr show eth0').match(/inet ([\d.]+)/)?.[1] ?? ''
}

const nc = (address: string, port: number): readonly string[] => ['busybox', 'nc', '-w', '2', address, `${port}`]
const ask = (address: string, port: number): string =>
  Bun.spawnSync([...nc(address, port)])
    .stdout.toString()
    .trim()
const askBeside = (address: string, port: number): string => beside(...nc(address, port)).trim()
const rules = (): string => outside('nft', 'list', 'ruleset')

describe('a neighbour with a route to the containers', () => {
  test('reaches what they publish, and nothing else; this machine reaches both (S231)', () => {
    const address = serve('web', '-p', '8080:80')
    expect([ask(address, 80), ask('127.0.0.1', 8080), askBeside(THIS, 8080)]).toEqual(['web', 'web', 'web'])
    expect(askBeside(address, 80)).toBe('')
    // Without the rules the way is open.
    outside('nft', 'flush', 'chain', 'inet', 'coffer', 'forward')
    expect(askBeside(address, 80)).toBe('web')
  })

  test('is answered by a container that asked it (S231)', () => {
    const server = Bun.spawn(
      ['nsenter', `--net=/proc/${neighbour.pid}/ns/net`, 'busybox', 'nc', '-ll', '-p', '90', '-e', 'echo', 'hello'],
      {},
    )
    beside('sh', '-c', 'until busybox netstat -ltn | grep -q ":90 "; do :; done')
    expect(engine.must('run', '--rm', 'busybox', 'nc', '-w', '2', NEIGHBOUR, '90')).toBe('hello')
    server.kill()
  })

  test('does not reach what is published for this machine alone, by no address (S232)', () => {
    serve('local', '-p', '127.0.0.1:8081:80')
    expect([ask('127.0.0.1', 8081), askBeside(THIS, 8081)]).toEqual(['local', ''])
    beside('ip', 'route', 'add', 'local', '127.0.0.0/8', 'dev', 'lo', 'table', 'local')
    beside('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip address flush dev lo')
    beside('ip', 'route', 'del', 'local', '127.0.0.0/8', 'dev', 'lo', 'table', 'local')
    beside('ip', 'route', 'add', '127.0.0.0/8', 'via', THIS, 'dev', 'lan', 'src', NEIGHBOUR)
    expect(beside('ip', 'route', 'get', '127.0.0.1')).toContain('dev lan')
    expect(askBeside('127.0.0.1', 8081)).toBe('')
  })

  test('does not pass a rule of the administrator, which stays as it is (S233)', () => {
    outside(
      'nft',
      'add table inet mine; add chain inet mine early { type filter hook prerouting priority -200; }; add rule inet mine early tcp dport 8082 drop',
    )
    const mine = (): string => outside('nft', 'list', 'table', 'inet', 'mine')
    const before = mine()
    serve('blocked', '-p', '8082:80', '-p', '8083:80')
    expect([askBeside(THIS, 8082), askBeside(THIS, 8083)]).toEqual(['', 'blocked'])
    expect(mine()).toBe(before)
    engine.must('rm', '-f', 'blocked')
    expect(rules().trim()).toBe(before.trim())
    outside('nft', 'delete', 'table', 'inet', 'mine')
  })
})

/** A packet that asks for a connection, as a container with raw sockets can make it: sent to the bridge, meant for 127.0.0.1. */
const SYN = `
import socket, struct, sys
source, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
a, b = socket.inet_aton(source), socket.inet_aton(target)
tcp = struct.pack('!HHIIBBHHH', 40000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
tcp = tcp[:16] + struct.pack('!H', checksum(a + b + struct.pack('!BBH', 0, 6, len(tcp)) + tcp)) + tcp[18:]
ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, a, b)
ip = ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(('eth0', 3))
wire.settimeout(1)
mac = lambda text: bytes.fromhex(text.strip().replace(':', ''))
wire.send(mac(sys.argv[4]) + mac(sys.argv[5]) + b'\\x08\\x00' + ip + tcp)
try:
    while True:
        frame = wire.recv(2000)
        if frame[12:14] == b'\\x08\\x00' and frame[23] == 6 and frame[26:30] == b and frame[47] & 0x12 == 0x12:
            print('answered')
            break
except socket.timeout:
    print('silence')
`

test('a container with raw sockets does not reach the loopback of this machine over its bridge (S232)', () => {
  const address = serve('neighbour', '-p', '8084:80')
  const bridge = outside('ip', '-o', 'link', 'show', 'type', 'bridge').match(/ether (\S+)/)?.[1] ?? ''
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const pid = engine.must('inspect', '--format', '{{.State.Pid}}', 'neighbour')
  const own = engine.must('exec', 'neighbour', 'ip', '-o', 'link', 'show', 'eth0').match(/ether (\S+)/)?.[1] ?? ''
  // The program runs in the network of the container with what a container may do in it: CAP_NET_RAW is among docker's capabilities.
  const send = (): string =>
    outside(
      'nsenter',
      `--net=/proc/${pid}/ns/net`,
      'setpriv',
      '--bounding-set=-all,+net_raw',
      '--inh-caps=-all',
      'python3',
      '-c',
      SYN,
      address,
      '127.0.0.1',
      `${listener.port}`,
      bridge,
      own,
    ).trim()
  // So this machine knows where the container is: it asks nobody in the name of 127.0.0.1.
  expect(ask(address, 80)).toBe('neighbour')
  expect(send()).toBe('silence')
  // Without the rules this machine answers: published ports of 127.0.0.1 make its bridges route there.
  outside('nft', 'delete', 'table', 'inet', 'coffer')
  expect(send()).toBe('answered')
  listener.stop()
})

test('containers of one network reach of another what it publishes on this machine, as with docker, and nothing else (S235)', () => {
  engine.must('network', 'create', 'apart')
  const address = serve('there', '--network', 'apart', '-p', '8085:80')
  const from = (network: string, to: string, port: string): string =>
    engine.coffer('run', '--rm', '--network', network, 'busybox', 'nc', '-w', '2', to, port).stdout.trim()
  expect([from('apart', address, '80'), from('bridge', address, '80')]).toEqual(['there', ''])
  expect([from('bridge', THIS, '8085'), askBeside(THIS, 8085)]).toEqual(['there', 'there'])
  engine.must('rm', '-f', 'there')
  engine.must('network', 'rm', 'apart')
})

describe('ports and addresses', () => {
  test('that are taken are refused, in a range and with their protocol, and nothing of the container stays (S234)', () => {
    serve('first', '-p', '8086:80', '-p', '127.0.0.1:8088:80')
    const before = rules()
    const refused = (...words: readonly string[]): string => {
      const { status, stderr } = engine.coffer('run', '--rm', ...words, 'busybox', 'true')
      return status === 125 && stderr.includes('port is already allocated') ? 'refused' : `${status} ${stderr}`
    }
    expect(refused('-p', '8086:80')).toBe('refused')
    expect(refused('-p', '127.0.0.1:8086:80')).toBe('refused')
    expect(refused('-p', '8087:80', '-p', '8086:81')).toBe('refused')
    expect(refused('-p', '8088:80')).toBe('refused')
    expect(refused('-p', '8090:80', '-p', '8090:81')).toBe('refused')
    expect(rules()).toBe(before)
    expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases')).length).toBe(1)
    expect(refused('-p', '8086:80/udp', '-p', '127.0.0.2:8088:80', '-p', '80')).toBe('0 ')
  })

  test('that are all taken are an error, and one that is given back is taken again (S244)', () => {
    engine.must('network', 'create', '--subnet', '10.97.0.0/30', 'tiny')
    serve('only', '--network', 'tiny')
    const { status, stderr } = engine.coffer('run', '--rm', '--network', 'tiny', 'busybox', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('all of 10.97.0.0/30 are in use')])
    until('one pair of devices', () => outside('ip', '-br', 'link').match(/^cof[0-9a-f]+@/gm)?.length === 1)
    engine.must('rm', '-f', 'only')
    expect(engine.must('run', '--rm', '--network', 'tiny', 'busybox', 'echo', 'again')).toBe('again')
    engine.must('network', 'rm', 'tiny')
  })

  test('of networks that this machine routes to are refused (S244)', () => {
    const { stderr } = engine.coffer('network', 'create', '--subnet', '10.98.0.0/16', 'over')
    expect(stderr).toContain('Pool overlaps with other one on this address space')
    expect(engine.must('network', 'ls')).not.toContain('over')
  })
})

test('what is no name of a network is refused before it is anything else (S246)', () => {
  const names = [
    'x; drop table',
    '../x',
    '.',
    '..',
    'a/b',
    '%d',
    '-x',
    '',
    'a\nb',
    'a b',
    'x'.repeat(300),
    'host',
    'none',
  ]
  for (const name of names)
    expect([name, engine.coffer('network', 'create', '--', name).status > 0]).toEqual([name, true])
  expect(engine.must('network', 'ls', '-q').split('\n').length).toBe(1)
  const long = 'n'.repeat(100)
  engine.must('network', 'create', long)
  // The name of a device has 15 bytes at most, and is none of a person's words.
  expect(engine.must('run', '--rm', '--network', long, 'busybox', 'echo', 'ran')).toBe('ran')
  engine.must('network', 'rm', long)
  const wrong = ['com.docker.network.bridge.name=x; drop table', 'com.docker.network.bridge.name=../../etc']
  for (const option of wrong)
    expect([option, engine.coffer('network', 'create', '--opt', option, 'n').status === 0]).toEqual([option, false])
})

test('no name of this machine is told to a container that does not ask for it (S242)', () => {
  const hosts = engine.must('run', '--rm', 'busybox', 'cat', '/etc/hosts')
  expect([hosts.includes('localhost'), /internal|gateway/.test(hosts)]).toEqual([true, false])
})
