import { afterAll, afterEach, expect, test } from 'bun:test'
import { keptNetwork, place, sh, type Wanted } from './namespace-bundle.ts'

const site = place()
afterAll(() => site[Symbol.dispose]())

/** At most 15 bytes. */
const NAME = `cof${process.pid % 100_000}`
const OUT = `${NAME}a`
const PEER = `${NAME}b`
const ip = (...words: readonly string[]): string => {
  const { exitCode, stdout, stderr } = sh('exec ip "$@"', ...words)
  if (exitCode !== 0) throw new Error(stderr)
  return stdout
}
const exists = (name: string): boolean => sh('exec ip link show "$1"', name).exitCode === 0

/** A pair of devices of the host: the first is to move. */
function makePair(): void {
  ip('link', 'add', OUT, 'mtu', '1400', 'address', '02:00:00:00:00:11', 'type', 'veth', 'peer', 'name', PEER)
  ip('address', 'add', '192.0.2.7/24', 'brd', '192.0.2.255', 'dev', OUT)
  ip('address', 'add', '198.51.100.1', 'peer', '198.51.100.2/32', 'dev', OUT)
  ip('address', 'add', '2001:db8::7/64', 'dev', OUT, 'nodad')
  ip('address', 'add', '169.254.7.7/16', 'scope', 'link', 'dev', OUT)
}

/** The kernel takes a moment to let go of what was in a namespace that nobody is in any more. */
function waitUntilGone(name: string): void {
  while (exists(name)) Bun.sleepSync(5)
}

afterEach(() => {
  for (const name of [PEER, OUT]) sh('ip link delete "$1" 2>/dev/null', name)
  waitUntilGone(PEER)
})

const NAMESPACES = 'pid mount network uts'
const run = (wanted: Partial<Wanted>): ReturnType<typeof site.run> => site.run({ namespaces: NAMESPACES, ...wanted })
const netDevices = (names: Readonly<Record<string, string | undefined>>): object => ({
  netDevices: Object.fromEntries(Object.entries(names).map(([device, name]) => [device, { name }])),
})
const LIST = 'ip -o link; ip -o address | tr -s " "'

test('a device moves into the container with its name there, its addresses, and up', () => {
  makePair()
  const { exitCode, stdout, stderr } = run({ linux: netDevices({ [OUT]: 'eth0' }), script: LIST })
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/eth0@if\d+: <[^>]*\bUP\b[^>]*> mtu 1400 /)
  expect(stdout).toContain('02:00:00:00:00:11')
  expect(stdout).toContain('inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0')
  expect(stdout).toContain('inet 198.51.100.1 peer 198.51.100.2/32 scope global eth0')
  expect(stdout).toContain('inet6 2001:db8::7/64 scope global')
  // Of one link, and not of the container.
  expect(stdout).not.toContain('169.254.7.7')
})

test('a device keeps its name if it is given none, and is there before kernel parameters are set', () => {
  makePair()
  const linux = { ...netDevices({ [OUT]: undefined }), sysctl: { [`net.ipv4.conf.${OUT}.forwarding`]: '1' } }
  const { stdout, stderr } = run({ linux, script: `cat /proc/sys/net/ipv4/conf/${OUT}/forwarding` })
  expect(stderr).toBe('')
  expect(stdout).toBe('1\n')
})

test('a device moves into a joined network namespace, and into one of a user namespace', () => {
  makePair()
  const { file, as } = keptNetwork(site)
  const joined = { namespaces: `pid mount network=${file}`, linux: netDevices({ [OUT]: 'eth0' }), script: LIST }
  // It stays in that namespace.
  const { stdout } = site.run(joined, as('nsenter --net=$file ip -o link show eth0 | sed "s/^/still /"'))
  expect(stdout).toContain('inet 192.0.2.7/24')
  expect(stdout).toMatch(/still \d+: eth0@/)
  waitUntilGone(PEER)
  makePair()
  const maps = [{ containerID: 0, hostID: 100_000, size: 65_536 }]
  const linux = { ...netDevices({ [OUT]: 'eth0' }), uidMappings: maps, gidMappings: maps }
  expect(run({ namespaces: `user ${NAMESPACES}`, linux, script: LIST }).stdout).toContain('inet 192.0.2.7/24')
})

test('several devices move, and a start that fails afterwards gives all of them back as they were', () => {
  makePair()
  const linux = netDevices({ [OUT]: 'eth0', [PEER]: 'eth1' })
  const both = run({
    linux,
    script: 'ls /sys/class/net',
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/sys', type: 'sysfs' },
    ],
  })
  expect(both.stdout).toBe('eth0\neth1\nlo\n')
  waitUntilGone(PEER)
  makePair()
  const failed = run({ linux, process: { args: ['/no/such/program'] } })
  expect(failed.exitCode).not.toBe(0)
  expect(exists(PEER)).toBe(true)
  const addresses = ip('-o', 'address', 'show', OUT)
  expect(addresses).toContain('192.0.2.7/24')
  expect(addresses).toContain('2001:db8::7/64')
})

test('what cannot move is refused with the errno of the kernel, and what has moved already comes back', () => {
  makePair()
  const refused = (names: Readonly<Record<string, string>>, wanted: Partial<Wanted> = {}): string => {
    const { exitCode, stderr } = run({ linux: netDevices(names), ...wanted })
    expect(exitCode).toBe(1)
    expect(ip('-o', 'address', 'show', OUT)).toContain('192.0.2.7/24')
    return stderr
  }
  expect(refused({ [OUT]: 'eth0', nosuchdevice: 'eth1' })).toContain(
    'find the network device nosuchdevice: recvfrom() = ENODEV',
  )
  expect(refused({ [OUT]: 'lo' })).toMatch(/the container has no network device lo yet: .* = EEXIST/)
  // The loopback of a namespace stays there.
  expect(refused({ [OUT]: 'eth0', lo: 'lo2' })).toMatch(/move the network device lo, as lo2: .* = EINVAL/)
  expect(refused({ [OUT]: 'eth0' }, { namespaces: 'pid mount network=/proc/self/ns/net' })).toContain(
    'linux.netDevices needs a network namespace of its own',
  )
})

test('without privilege over the host its devices cannot be moved, and the error says so', () => {
  makePair()
  const maps = [{ containerID: 0, hostID: 4711, size: 1 }]
  const linux = { ...netDevices({ [OUT]: 'eth0' }), uidMappings: maps, gidMappings: maps }
  const as = ['setpriv', '--reuid', '4711', '--regid', '4711', '--clear-groups']
  const { stderr } = site.run({ namespaces: `user ${NAMESPACES}`, linux }, as)
  expect(stderr).toContain('linux.netDevices needs CAP_NET_ADMIN over the network devices of the host')
  expect(exists(OUT)).toBe(true)
})
