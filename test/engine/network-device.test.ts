/** Networks on a device of this machine: macvlan and ipvlan. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { withNeighbour } from './neighbour.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
/** A neighbour of this machine is one of the container as well, and this machine is not. */
const subnet = (third: number): readonly string[] => [
  '--subnet',
  `192.168.${third}.0/24`,
  '--gateway',
  `192.168.${third}.2`,
]

function serve(name: string, ...flags: readonly string[]): void {
  engine.must('run', '-d', '--name', name, ...flags, 'busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', name)
  engine.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')
}

test('a container on macvlan is a machine of the network of its device, with names and without rules', () => {
  withNeighbour(248, (near) => {
    engine.must('network', 'create', '-d', 'macvlan', '-o', 'parent=near248', ...subnet(248), 'lan')
    serve('web', '--network', 'lan', '--ip', '192.168.248.9', '--mac-address', '02:00:00:00:00:99')
    engine.must('run', '-d', '--name', 'app', '--network', 'lan', 'busybox', 'sleep', '1000')
    expect(near('busybox', 'nc', '-w', '2', '192.168.248.9', '80').trim()).toBe('web')
    expect(near('ip', 'neigh')).toContain('192.168.248.9 dev near0 lladdr 02:00:00:00:00:99')
    expect(engine.must('exec', 'app', 'nc', '-w', '2', 'web', '80')).toBe('web')
    expect(engine.must('exec', 'app', 'ip', 'route')).toContain('default via 192.168.248.2 dev eth0')
    expect(engine.must('exec', 'app', 'ping', '-c', '1', '-W', '2', '192.168.248.2')).toContain('1 packets received')
    expect([outside('nft', 'list', 'ruleset'), outside('cat', '/proc/sys/net/ipv4/ip_forward').trim()]).toEqual([
      '',
      '0',
    ])
    engine.must('network', 'connect', 'bridge', 'app')
    expect(engine.must('exec', 'app', 'ip', 'addr', 'show', 'eth1')).toContain('inet 172.')
    engine.must('network', 'disconnect', 'lan', 'app')
    expect(engine.coffer('exec', 'app', 'ip', 'link', 'show', 'eth0').status).not.toBe(0)
    expect(engine.must('network', 'ls', '--filter', 'driver=macvlan', '--format', '{{.Name}} {{.Driver}}')).toBe(
      'lan macvlan',
    )
    engine.must('rm', '-f', 'web', 'app')
    expect(outside('nft', 'list', 'ruleset')).toBe('')
    engine.must('network', 'rm', 'lan')
  })
})

test('a device, a mode and a port that cannot be are refused', () => {
  const refusal = (...words: readonly string[]): string => engine.coffer('network', 'create', ...words).stderr
  expect(refusal('-d', 'macvlan', 'odd')).toContain('it needs a device of this machine')
  expect(refusal('-d', 'ipvlan', '-o', 'parent=absent', 'odd')).toContain('this machine has no device absent')
  expect(refusal('-d', 'macvlan', '-o', 'parent=lo', '-o', 'macvlan_mode=vpa', 'odd')).toContain(
    'private, vepa, bridge, passthru',
  )
  expect(refusal('-d', 'macvlan', '-o', 'ipvlan_mode=l2', 'odd')).toContain('macvlan takes parent, macvlan_mode')
  engine.must('network', 'create', '-d', 'macvlan', '-o', 'parent=lo', ...subnet(247), 'local')
  expect(engine.coffer('run', '-p', '80', '--network', 'local', 'busybox', 'true').stderr).toContain(
    'on a device of this machine',
  )
  engine.must('network', 'rm', 'local')
})

const hasIpvlan =
  outside('sh', '-c', 'ip link add probe0 link lo type ipvlan 2>&1').includes('Unknown device type') === false
test.skipIf(!hasIpvlan)('a container on ipvlan has the hardware address of its device', () => {
  withNeighbour(246, (near) => {
    engine.must('network', 'create', '-d', 'ipvlan', '-o', 'parent=near246', ...subnet(246), 'lan')
    serve('web', '--network', 'lan', '--ip', '192.168.246.9')
    expect(near('busybox', 'nc', '-w', '2', '192.168.246.9', '80').trim()).toBe('web')
    engine.must('rm', '-f', 'web')
    engine.must('network', 'rm', 'lan')
  })
})
