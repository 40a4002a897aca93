/** Networks of containers: who reaches whom, and what is left when they are gone. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { until } from '../kernel/leaks.ts'
import { HAS_BBR, withCongestion } from './congestion.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)
/** In the network that the engine is in. */
const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
const rules = (): string => outside('nft', 'list', 'ruleset')
const links = (): string => outside('ip', '-br', 'link')

const [major = 0, minor = 0] = release().split('.').map(Number)
/** BIG TCP for IPv4. */
const HAS_LARGE_SEGMENTS = major > 6 || (major === 6 && minor >= 3)

/** Answers one line to each connection. */
const SERVER = (line: string): readonly string[] => ['nc', '-ll', '-p', '80', '-e', 'echo', line]

function serve(name: string, ...flags: readonly string[]): void {
  engine.must('run', '-d', '--name', name, ...flags, 'busybox', ...SERVER(name))
  // It listens from some moment on.
  engine.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')
}

const ask = (address: string, port: number): string => outside('busybox', 'nc', '-w', '2', address, `${port}`).trim()

describe('the default network', () => {
  test('a container has an address, a way out and lo', () => {
    const shown = run('busybox', 'sh', '-c', 'ip -4 addr; ip route')
    expect(shown).toContain('127.0.0.1/8')
    expect(shown).toMatch(/inet 172\.\d+\.0\.\d+\/16 .*eth0/)
    expect(shown).toMatch(/default via 172\.\d+\.0\.1 dev eth0/)
  })

  test('a published port is reached from this machine, at 127.0.0.1 too, and from a neighbour', () => {
    serve('web', '-p', '8080:80')
    expect(ask('127.0.0.1', 8080)).toBe('web')
    const gateway = /(172\.\d+\.0\.1)\/16/.exec(outside('ip', '-4', 'addr'))?.[1] ?? ''
    expect(ask(gateway, 8080)).toBe('web')
    expect(run('busybox', 'nc', '-w', '2', gateway, '8080')).toBe('web')
    expect(engine.must('ps', '--format', '{{.Networks}} {{.Ports}}')).toBe('bridge 0.0.0.0:8080->80/tcp')
    const { Ports, Networks } = JSON.parse(engine.must('inspect', 'web'))[0].NetworkSettings
    expect(Ports).toEqual({ '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] })
    expect(Networks.bridge).toMatchObject({ Gateway: gateway, IPPrefixLen: 16 })
    engine.must('rm', '-f', 'web')
  })

  test('a port of one address is reached there only', () => {
    serve('local', '-p', '127.0.0.1:8081:80')
    expect([ask('127.0.0.1', 8081), ask('127.0.0.2', 8081)]).toEqual(['local', ''])
    engine.must('rm', '-f', 'local')
  })

  test('a port that is taken is refused, and nothing of the refused container stays', () => {
    serve('first', '-p', '8082:80')
    const { status, stderr } = engine.coffer('run', '--rm', '-p', '8082:80', 'busybox', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('port is already allocated')])
    engine.must('rm', '-f', 'first')
    expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases'))).toEqual([])
  })

  test('neighbours reach each other by address, and have no names, as with docker', () => {
    serve('neighbour', '--add-host', 'db:10.0.0.7')
    const hosts = engine.must('exec', 'neighbour', 'cat', '/etc/hosts')
    const address = engine.must('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'neighbour')
    expect([hosts.includes('10.0.0.7\tdb\n'), hosts.includes(`${address}\t`)]).toEqual([true, true])
    expect(run('busybox', 'nc', '-w', '2', address, '80')).toBe('neighbour')
    expect(engine.coffer('run', '--rm', 'busybox', 'nc', '-w', '1', 'neighbour', '80').status).toBe(1)
    expect(engine.coffer('run', '--network-alias', 'x', 'busybox', 'true').stderr).toContain('user defined networks')
    engine.must('rm', '-f', 'neighbour')
  })

  test.skipIf(!HAS_LARGE_SEGMENTS || !HAS_BBR)(
    'what BBR sends to a container comes in segments of more than 64 KiB, and what the container sends does not',
    () => {
      const send = 'dd if=/dev/zero bs=1M count=64 2>/dev/null'
      const servers = `nc -ll -p 80 -e sh -c 'cat >/dev/null' & exec nc -ll -p 81 -e sh -c '${send}'`
      withCongestion('bbr', () => engine.must('run', '-d', '--name', 'bulk', 'busybox', 'sh', '-c', servers))
      engine.must('exec', 'bulk', 'sh', '-c', 'until netstat -ltn | grep ":8[01] " | wc -l | grep -q 2; do :; done')
      const address = engine.must('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'bulk')
      // Of eth0: bytes and packets that came, six numbers, bytes and packets that went.
      const seen = (): readonly number[] =>
        (/eth0:(.*)/.exec(engine.must('exec', 'bulk', 'cat', '/proc/net/dev'))?.[1] ?? '')
          .trim()
          .split(/ +/)
          .map(Number)
      const average = (column: number, line: string): number => {
        const before = seen()
        expect(Bun.spawnSync(['bash', '-c', line]).exitCode).toBe(0)
        const [bytes = 0, packets = 0] = seen()
          .map((count, at) => count - (before[at] ?? 0))
          .slice(column)
        expect(bytes).toBeGreaterThan(2 ** 26)
        return bytes / packets
      }
      expect(average(0, `${send} >/dev/tcp/${address}/80`)).toBeGreaterThan(2 ** 16)
      expect(average(8, `cat </dev/tcp/${address}/81 >/dev/null`)).toBeLessThan(2 ** 16)
      engine.must('rm', '-f', 'bulk')
    },
  )

  test.skipIf(!HAS_LARGE_SEGMENTS || !HAS_BBR)(
    'on a bridge that was made under BBR, none is cut to packets once this machine has another congestion control',
    () => {
      withCongestion('bbr', () => run('busybox', 'true'))
      withCongestion('reno', () => {
        engine.must(
          'run',
          '-d',
          '--name',
          'bulk',
          'busybox',
          'nc',
          '-ll',
          '-p',
          '80',
          '-e',
          'sh',
          '-c',
          'cat >/dev/null',
        )
        engine.must('exec', 'bulk', 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')
        const address = engine.must('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'bulk')
        const send = `dd if=/dev/zero bs=1M count=64 2>/dev/null >/dev/tcp/${address}/80`
        expect(Bun.spawnSync(['bash', '-c', send]).exitCode).toBe(0)
      })
      const [bytes = 0, packets = 1] = (
        /eth0:(.*)/.exec(engine.must('exec', 'bulk', 'cat', '/proc/net/dev'))?.[1] ?? ''
      )
        .trim()
        .split(/ +/)
        .map(Number)
      expect(bytes / packets).toBeGreaterThan(2 ** 14)
      engine.must('rm', '-f', 'bulk')
    },
  )

  test('where a port of the bridge is of others and takes less, containers start and are reached', () => {
    serve('before')
    outside('ip', 'tuntap', 'add', 'dev', 'small', 'mode', 'tap')
    outside('ip', 'link', 'set', 'small', 'master', 'coffer0')
    serve('behind')
    const address = engine.must('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'behind')
    expect([ask(address, 80), outside('ip', '-d', 'link', 'show', 'coffer0')]).toEqual([
      'behind',
      expect.stringContaining('tso_max_size 65536'),
    ])
    outside('ip', 'link', 'del', 'small')
    engine.must('rm', '-f', 'before', 'behind')
  })

  test('with the last container devices and rules go, but for the bridge, which network prune removes once nobody is in it', () => {
    serve('last', '-p', '8083:80')
    expect([links().includes('coffer0'), rules().includes('table inet coffer')]).toEqual([true, true])
    engine.must('network', 'prune', '--force')
    expect(links()).toContain('coffer0')
    engine.must('rm', '-f', 'last')
    // The kernel takes the pair away behind the network namespace, a moment later.
    until('the end of its devices', () => links().trim().split('\n').length === 2)
    expect(links()).toContain('coffer0')
    expect([rules(), readdirSync(join(engine.runRoot, '.netns'))]).toEqual(['', []])
    engine.must('network', 'prune', '--force')
    expect(links().trim().split('\n').length).toBe(1)
  })

  test('rules of others are as before (S233)', () => {
    outside(
      'nft',
      'add table inet mine; add chain inet mine input { type filter hook input priority 0; }; add rule inet mine input tcp dport 9 drop',
    )
    const before = rules()
    run('-p', '8084:80', 'busybox', 'true')
    expect(rules()).toBe(before)
    outside('nft', 'delete', 'table', 'inet', 'mine')
  })
})

describe('another network', () => {
  test('none has lo alone, host has what this machine has', () => {
    expect(run('--network', 'none', 'busybox', 'sh', '-c', 'ip -o link | wc -l')).toBe('1')
    serve('seen')
    expect(run('--network', 'host', 'busybox', 'ip', '-o', 'link')).toContain('coffer0')
    engine.must('rm', '-f', 'seen')
  })

  test('that of another container is the same, with its address', () => {
    serve('shared')
    expect(run('--network', 'container:shared', 'busybox', 'nc', '-w', '2', '127.0.0.1', '80')).toBe('shared')
    engine.must('rm', '-f', 'shared')
  })

  test('one that is not there is said so', () => {
    expect(engine.coffer('run', '--network', 'absent', 'busybox', 'true').stderr).toContain('network absent not found')
  })
})

describe('networks that are made', () => {
  test('their containers do not reach those of others (S235)', () => {
    engine.must('network', 'create', '--subnet', '10.77.0.0/24', 'apart')
    expect(engine.must('network', 'ls', '--quiet').split('\n').length).toBe(2)
    serve('there', '--network', 'apart', '--ip', '10.77.0.9')
    expect(run('--network', 'apart', 'busybox', 'nc', '-w', '2', '10.77.0.9', '80')).toBe('there')
    expect(engine.coffer('run', '--rm', 'busybox', 'nc', '-w', '1', '10.77.0.9', '80').status).toBe(1)
    const inspected = JSON.parse(engine.must('network', 'inspect', 'apart'))[0]
    expect([inspected.Name, inspected.IPAM.Config[0], Object.values(inspected.Containers)]).toEqual([
      'apart',
      { Subnet: '10.77.0.0/24', Gateway: '10.77.0.1' },
      [expect.objectContaining({ Name: 'there', IPv4Address: '10.77.0.9/24' })],
    ])
    expect(engine.coffer('network', 'rm', 'apart').stderr).toContain('has active endpoints')
    engine.must('rm', '-f', 'there')
    engine.must('network', 'rm', 'apart')
    expect(engine.must('network', 'ls', '--quiet').split('\n').length).toBe(1)
  })

  test('an internal one has no way out', () => {
    engine.must('network', 'create', '--internal', 'closed')
    expect(run('--network', 'closed', 'busybox', 'ip', 'route')).not.toContain('default')
    engine.must('network', 'rm', 'closed')
  })

  test('the packets of one are as large as its option says, at both ends', () => {
    const make = (mtu: string, ...flags: readonly string[]): string =>
      engine.coffer('network', 'create', '-o', `com.docker.network.driver.mtu=${mtu}`, ...flags, 'sized').stderr
    expect(make('1400')).toBe('')
    engine.must('run', '-d', '--name', 'sized', '--network', 'sized', 'busybox', 'sleep', '1000')
    expect(engine.must('exec', 'sized', 'cat', '/sys/class/net/eth0/mtu')).toBe('1400')
    const device = engine.must(
      'network',
      'inspect',
      '-f',
      '{{index .Options "com.docker.network.bridge.name"}}',
      'sized',
    )
    expect(outside('ip', 'link', 'show', device)).toContain(' mtu 1400 ')
    engine.must('rm', '-f', 'sized')
    engine.must('network', 'rm', 'sized')
    for (const wrong of ['no', '67', '65536', '1e3', ''])
      expect(make(wrong)).toContain('a number of bytes from 68 to 65535')
    expect(make('1279', '--ipv6')).toContain('from 1280')
  })

  test('a name, a subnet and a gateway that cannot be are refused', () => {
    engine.must('network', 'create', '--subnet', '10.78.0.0/24', 'taken')
    const refusal = (...words: readonly string[]): string => engine.coffer('network', 'create', ...words).stderr
    expect(refusal('taken')).toContain('network with name taken already exists')
    expect(refusal('--subnet', '10.78.0.0/16', 'wide')).toContain('overlaps with 10.78.0.0/24')
    expect(refusal('--subnet', '10.79.0.1/24', 'odd')).toContain('is no network')
    expect(refusal('--subnet', '10.79.0.0/24', '--gateway', '10.80.0.1', 'odd')).toContain(
      'is no address of the network',
    )
    expect(refusal('--driver', 'overlay', 'odd')).toContain('overlay')
    engine.must('network', 'rm', 'taken')
  })
})

test('ten containers at once have ten addresses', async () => {
  const all = Array.from({ length: 10 }, () => engine.spawn('run', '-d', 'busybox', 'sleep', '1000'))
  expect(await Promise.all(all.map((one) => one.exited))).toEqual(Array(10).fill(0))
  expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases')).length).toBe(10)
  engine.must('rm', '-f', ...engine.must('ps', '-q').split('\n'))
  expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases'))).toEqual([])
})

/** Starts it, and kills that between an address and the file that says whose it is. */
async function killTaking(id: string): Promise<void> {
  const file = join(engine.dataRoot, 'containers', id, 'network.json')
  const through = ['strace', '-f', '-qq', '-o', '/dev/null', '-P', `${file}.new`, '-e', 'inject=openat:signal=KILL']
  const status = await engine.spawnThrough(through, 'start', id).exited
  expect([status, existsSync(`${file}.new`), existsSync(file)]).toEqual([137, false, false])
}

test('an address that a killed start took is given back by the next start, and by a command that looks', async () => {
  const leases = join(engine.dataRoot, 'networks', 'bridge', 'leases')
  const holders = (): readonly string[] =>
    readdirSync(leases).map((name) => readlinkSync(join(leases, name)).replace(/.* /, ''))
  const id = engine.must('create', '--name', 'takes', 'busybox', 'sleep', '1000')
  await killTaking(id)
  expect(holders()).toEqual(['takes'])
  engine.must('ps')
  expect(holders()).toEqual([])
  await killTaking(id)
  await killTaking(id)
  expect(holders()).toEqual(['takes'])
  engine.must('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000')
  expect(holders()).toEqual(['other'])
  engine.must('start', 'takes')
  expect(holders().toSorted()).toEqual(['other', 'takes'])
  engine.must('rm', '-f', 'takes', 'other')
  expect([holders(), existsSync(join(engine.dataRoot, 'networks', '.taking'))]).toEqual([[], false])
})

test('a network that another program has written is an error with its file, and what to do', () => {
  const directory = join(engine.dataRoot, 'networks', 'foreign')
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'network.json'), '{"version":1,"name":"foreign","subnet":"172.31.0.0/16"}')
  const { status, stderr } = engine.coffer('run', '--rm', '--network', 'foreign', 'busybox', 'true')
  rmSync(directory, { recursive: true })
  expect([status, stderr]).toEqual([125, expect.stringContaining(`cannot read ${directory}/network.json`)])
  expect(stderr).toContain(`rm -r ${directory}`)
})
