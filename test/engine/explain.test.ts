/** What explain says of containers of the engine, and that it makes nothing. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HAS_BBR, withCongestion } from './congestion.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const below = (path: string): readonly string[] => readdirSync(path, { recursive: true }).map(String).sort()

test('it knows the files that a container would have, and neither makes them nor the volumes that it names', () => {
  const before = below(engine.dataRoot)
  const shown = join(engine.directory, 'later')
  const text = engine.must('explain', 'run', '--init', '-v', 'kept:/kept', '-v', `${shown}:/later`, 'ubuntu', 'true')
  for (const at of ['/etc/hosts', '/etc/resolv.conf', '/sbin/docker-init', '/kept', '/later'])
    expect(text).toContain(`target = openat2(root, "${at}"`)
  expect(below(engine.dataRoot)).toEqual(before)
  expect(readdirSync(engine.directory)).not.toContain('later')
})

test('with --run it makes what it says, and leaves only what it was asked to keep', () => {
  const text = engine.must('explain', '--run', 'run', '-v', 'kept:/kept', 'ubuntu', 'touch', '/kept/file')
  expect(text).toMatch(/execve\("\/bin\/touch"/)
  expect(engine.must('ps', '--all', '--quiet')).toBe('')
  expect(below(join(engine.dataRoot, 'volumes', 'kept', '_data'))).toEqual(['file'])
})

/** Each part begins with its plan. */
const partsOf = (format: string, ...flags: readonly string[]): readonly [network: string, container: string] => {
  const { stdout, stderr } = engine.coffer('explain', '--format', format, 'run', ...flags, 'ubuntu', 'true')
  expect(stderr).toBe('')
  const [network = '', container = ''] = stdout.split(/^(?=(?:#!.*\n# )?make container )/m)
  return [network, container]
}

test('it shows the plan of the network too, with the addresses, ports and names that a start would take, and takes none', () => {
  const before = below(engine.dataRoot)
  const [network, container] = partsOf('text', '-p', '8080-8081:80', '-p', '8080-8081:81')
  for (const why of [
    'make the network namespace of',
    'have the bridge coffer0',
    /give coffer0 the address 172\.\d+\.0\.1\/16/,
    /give eth0 the address 172\.\d+\.0\.2\/16/,
    /reach everything else via 172\.\d+\.0\.1/,
    'set /proc/sys/net/ipv4/conf/coffer0/route_localnet to 1',
    'have the packet filter let it pass',
  ])
    expect(network).toMatch(why)
  expect(container).toMatch(/enter the network namespace \/.*\/\.netns\/[0-9a-f]{64}/)
  expect(below(engine.dataRoot)).toEqual(before)
  const { before: json, operation } = JSON.parse(engine.must('explain', '--json', 'run', 'ubuntu', 'true'))
  expect([json.operation, operation].map((text: string) => text.split(' ').slice(0, 2).join(' '))).toEqual([
    'make the',
    'make container',
  ])
  expect(partsOf('tree')[0]).toContain('gets its own network namespace')
  expect(below(engine.dataRoot)).toEqual(before)
  const other = engine.coffer('explain', '--diff', 'run ubuntu true', 'run --network none ubuntu true')
  expect(other.stdout).toContain('have the bridge coffer0')
})

test.skipIf(!HAS_BBR)(
  'what TCP of this machine paces is sent to containers in larger segments, and what it does not is not',
  () => {
    const isLarge = (): boolean => partsOf('text')[0].includes('send large segments')
    expect([withCongestion('reno', isLarge), withCongestion('bbr', isLarge)]).toEqual([false, true])
  },
)

test('it knows which addresses and ports others have, and says what a start would say', () => {
  engine.must('network', 'create', 'named')
  engine.must('run', '-d', '--name', 'there', '--network', 'named', '-p', '8090:80', 'ubuntu', 'sleep', '1000')
  const [network] = partsOf('text', '--network', 'named')
  expect(network).toMatch(/give eth0 the address 172\.\d+\.0\.3\/16/)
  expect(network).toContain('have a name server beside the container')
  expect(engine.coffer('explain', 'run', '-p', '8090:80', 'ubuntu', 'true').stderr).toContain(
    'port is already allocated',
  )
  expect(engine.coffer('explain', 'run', '--network', 'nope', 'ubuntu', 'true').stderr).toContain('nope not found')
  expect(readdirSync(join(engine.dataRoot, 'networks', 'named', 'leases')).length).toBe(1)
  engine.must('rm', '-f', 'there')
  engine.must('network', 'rm', 'named')
})

test('of the script, bash makes a network namespace with the same address and a way to this machine', () => {
  const [network, container] = partsOf('script')
  const [, file = ''] = /unshare --net='([^']*)' true/.exec(network) ?? []
  expect(container).toContain(`nsenter --net=${file} `)
  const made = Bun.spawnSync(['bash'], { stdin: Buffer.from(network), stderr: 'pipe' })
  const inside = (...words: readonly string[]): string =>
    Bun.spawnSync(['nsenter', `--net=${file}`, ...words]).stdout.toString()
  try {
    expect([
      made.exitCode,
      made.stderr
        .toString()
        .replace(/^Device .* does not exist\.$/m, '')
        .trim(),
    ]).toEqual([0, ''])
    const [, gateway = ''] = /ip address replace (\S+)\.1\/16/.exec(network) ?? []
    expect(inside('ip', '-4', '-br', 'address', 'show', 'eth0')).toContain(`${gateway}.2/16`)
    expect(inside('busybox', 'ping', '-c', '1', '-W', '5', `${gateway}.1`)).toContain('1 packets received')
  } finally {
    Bun.spawnSync(['umount', file])
    unlinkSync(file)
    Bun.spawnSync(['ip', 'link', 'delete', 'coffer0'])
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0')
  }
})

test('with --run the container has its network, whose plan is shown with results, and which is taken back', () => {
  const { stdout } = engine.coffer('explain', '--run', 'run', 'ubuntu', 'ip', 'addr')
  expect(stdout).toMatch(/inet 172\.\S+ .*eth0/)
  const [network = '', container = ''] = stdout.split(/^(?=make container )/m)
  expect(network).toMatch(/^ *\d+ +\d+\.\d +\d+ .*have the bridge coffer0$/m)
  expect(container).toMatch(/^ *\d+ +\d+\.\d +0 .*wait until [0-9a-f]{64} ends$/m)
  expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases'))).toEqual([])
  const { before, plan, trace } = JSON.parse(engine.must('explain', '--run', '--json', 'run', 'ubuntu', 'true'))
  expect([before.plan.operation, plan.operation].map((text: string) => text.split(' ')[1])).toEqual([
    'the',
    'container',
  ])
  expect([before.trace.length, trace.length].every((calls) => calls > 20)).toBe(true)
  const picture = engine.must('explain', '--run', '--format', 'svg', 'run', 'ubuntu', 'true')
  expect(picture.match(/>executor</g)).toHaveLength(2)
})

test('of a container that reaches some hosts only it shows how the relay beside it is made', () => {
  const [network] = partsOf('text', '--egress', 'example.com:443')
  expect(network).toContain('make the network namespace of')
  expect(network).toContain('relay')
  const ran = engine.coffer('explain', '--run', 'run', '--egress', 'example.com:443', 'ubuntu', 'true')
  expect([ran.status, ran.stderr]).toEqual([0, ''])
  expect(ran.stdout).toContain('relay')
})

test('of exec it shows the way into the namespaces and cgroups of a container that runs', () => {
  engine.must('run', '--detach', '--name', 'lives', 'ubuntu', 'sleep', '1000')
  const text = engine.must('explain', 'exec', 'lives', 'touch', '/made')
  expect(text).toMatch(/setns\(.*CLONE_NEWNS/)
  expect(text).toContain('execve("/bin/touch"')
  expect(engine.coffer('exec', 'lives', 'ls', '/made').status).toBe(1)
  expect(engine.must('explain', '--run', 'exec', 'lives', 'touch', '/made')).toContain('execve("/bin/touch"')
  expect(engine.must('exec', 'lives', 'ls', '/made')).toBe('/made')
})
