import { afterAll, expect, test } from 'bun:test'
import { copyFileSync, readFileSync, readlinkSync } from 'node:fs'
import { cProgram } from '../c-program.ts'
import { mountedLines } from '../cgroup-lines.ts'
import { keptNetwork, type Live, MOUNTS, type Outcome, place, sh, USUAL, type Wanted } from './namespace-bundle.ts'

const site = place()
afterAll(() => site[Symbol.dispose]())

const FILES = {
  pid: 'pid',
  network: 'net',
  ipc: 'ipc',
  uts: 'uts',
  cgroup: 'cgroup',
  time: 'time',
  mount: 'mnt',
  user: 'user',
} as const
type Type = keyof typeof FILES
const TYPES = Object.keys(FILES) as readonly Type[]

const SHOW = `for n in ${Object.values(FILES).join(' ')}; do readlink /proc/self/ns/$n; done`
const MAPS = {
  uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
  gidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
}

type Namespaces = Readonly<Record<Type, string>>

/** The namespaces of the program of such a container, by type. */
function namespacesIn(wanted: Wanted): Namespaces {
  const { exitCode, stdout, stderr } = site.run({ ...wanted, script: SHOW })
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  return byType(stdout.trim().split('\n'))
}

const byType = (lines: readonly string[]): Namespaces =>
  Object.fromEntries(TYPES.map((type, index) => [type, lines[index] ?? ''])) as Namespaces

const namespacesOf = (pid: number | 'self'): Namespaces =>
  byType(TYPES.map((type) => readlinkSync(`/proc/${pid}/ns/${FILES[type]}`)))

const OWN = namespacesOf('self')
/** The types in which two processes are apart. */
const differ = (a: Namespaces, b: Namespaces): readonly Type[] => TYPES.filter((type) => a[type] !== b[type])
const fileOf = ({ pid }: Live, type: Type): string => `/proc/${pid}/ns/${FILES[type]}`

test('a container is in the new namespaces that it asks for, and in those of the host otherwise', () => {
  expect(differ(namespacesIn({ namespaces: 'mount' }), OWN)).toEqual(['mount'])
  for (const type of TYPES) {
    if (type === 'mount' || type === 'user') continue
    expect(differ(namespacesIn({ namespaces: `mount ${type}` }), OWN)).toEqual(
      TYPES.filter((one) => one === type || one === 'mount'),
    )
  }
  expect(differ(namespacesIn({ namespaces: 'mount user', linux: MAPS }), OWN)).toEqual(['mount', 'user'])
  expect(differ(namespacesIn({ namespaces: `${USUAL} time user`, linux: MAPS }), OWN)).toEqual(TYPES)
})

test('a process of exec is in the namespaces of init (S109)', () => {
  for (const namespaces of ['mount', USUAL, `${USUAL} time user`, 'pid mount user time']) {
    using live = site.start({ namespaces, linux: namespaces.includes('user') ? MAPS : {} })
    const { stdout, stderr } = live.exec(SHOW)
    expect(stderr).toBe('')
    expect(byType(stdout.trim().split('\n'))).toEqual(namespacesOf(live.pid))
  }
})

for (const withUser of [false, true]) {
  const user = withUser ? 'user ' : ''
  const linux = withUser ? MAPS : {}
  for (const type of TYPES) {
    if (type === 'user' || type === 'mount') continue
    test(`a container joins the ${type} namespace of another by its path${withUser ? ', with a user namespace of its own' : ''}`, () => {
      using live = site.start({ namespaces: `${USUAL} time` })
      const others = USUAL.replace(type, '')
      const seen = namespacesIn({ namespaces: `${user}${others} ${type}=${fileOf(live, type)}`, linux })
      expect(seen[type]).toBe(namespacesOf(live.pid)[type])
      expect(differ(seen, namespacesOf(live.pid))).not.toContain(type)
      expect(differ(seen, OWN)).toContain(type)
    })
  }
}

test('what shows a joined namespace shows that one, not the one of the host, in a user namespace as well', () => {
  using live = site.start({ namespaces: USUAL })
  const joined = (['pid', 'network', 'ipc'] as const).map((type) => `${type}=${fileOf(live, type)}`).join(' ')
  const mounts = [
    ...MOUNTS,
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro', 'nosuid'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue' },
  ]
  sh(`nsenter --net=${fileOf(live, 'network')} ip link add joined0 type veth peer name joined1`)
  const script =
    'ls /sys/class/net; cat /proc/1/comm; grep -c "/sys sysfs ro,nosuid" /proc/mounts; touch /dev/mqueue/mine 2>/dev/null; ls /dev/mqueue'
  for (const user of ['', ' user']) {
    const linux = user === '' ? {} : MAPS
    const { stdout, stderr } = site.run({ namespaces: `mount uts ${joined}${user}`, mounts, linux, script })
    expect(stderr).toBe('')
    expect(stdout).toBe('joined0\njoined1\nlo\nsleep\n1\nmine\n')
  }
})

test('a namespace that is kept by a bind mount is joined after all its processes are gone', () => {
  const { as, file } = keptNetwork(site)
  const script = 'readlink /proc/self/ns/net'
  const { stdout, stderr } = site.run(
    { namespaces: `pid mount network=${file}`, script },
    as('stat -c "net:[%i]" $file'),
  )
  expect(stderr).toBe('')
  const [joined, kept] = stdout.trim().split('\n')
  expect(joined).toBe(kept)
  expect(joined).not.toBe(OWN.network)
})

test('who joins a pid namespace sees its processes, and is not its first one', () => {
  using live = site.start({ namespaces: USUAL })
  const { stdout } = site.run({
    namespaces: `mount ipc pid=${fileOf(live, 'pid')}`,
    script: 'echo $$; cat /proc/1/comm',
  })
  const [pid, comm] = stdout.trim().split('\n')
  expect(Number(pid)).toBeGreaterThan(1)
  expect(comm).toBe('sleep')
})

test('who joins a mount namespace has the tree that is mounted there', () => {
  using live = site.start({
    namespaces: USUAL,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/mnt', type: 'tmpfs', source: 'tmpfs' },
    ],
  })
  expect(live.exec('echo here >/mnt/mark').exitCode).toBe(0)
  const joined = { namespaces: `pid=${fileOf(live, 'pid')} mount=${fileOf(live, 'mount')}`, mounts: [] }
  expect(site.run({ ...joined, script: 'cat /mnt/mark; readlink /proc/self/ns/mnt' }).stdout).toBe(
    `here\n${namespacesOf(live.pid).mount}\n`,
  )
})

test('what would change the tree of a joined mount namespace is refused by name', () => {
  using live = site.start({ namespaces: USUAL })
  const namespaces = `pid mount=${fileOf(live, 'mount')}`
  const refused = (wanted: Partial<Wanted>): string => site.run({ namespaces, mounts: [], ...wanted }).stderr
  expect(refused({ mounts: [{ destination: '/mnt', type: 'tmpfs', source: 'tmpfs' }] })).toContain(
    'mounts needs a new mount namespace, and linux.namespaces joins one that exists',
  )
  expect(refused({ linux: { maskedPaths: ['/proc/kcore'] } })).toContain('linux.maskedPaths needs')
  expect(refused({ linux: { devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229 }] } })).toContain(
    'linux.devices needs',
  )
  expect(refused({ config: { root: { path: '/', readonly: true } } })).toContain('root.readonly needs')
})

test('without a mount namespace a container, and a process of exec, see only the root of the container', () => {
  const list = 'echo /* ; cat /etc/hostname 2>&1'
  using live = site.start({ namespaces: 'pid', mounts: [] })
  const inRun = site.run({ namespaces: 'pid', mounts: [], script: list })
  expect(inRun.stdout).toContain('/bin /dev /etc')
  expect(inRun.stdout).toContain('No such file')
  expect(live.exec(list).stdout).toBe(inRun.stdout)
})

test('a joined user namespace gives the privilege to join what belongs to it', () => {
  using live = site.start({ namespaces: `${USUAL} user`, linux: MAPS })
  const namespaces = TYPES.filter((type) => type !== 'time' && type !== 'mount')
    .map((type) => `${type}=${fileOf(live, type)}`)
    .join(' ')
  const seen = namespacesIn({ namespaces: `${namespaces} mount` })
  expect(differ(seen, namespacesOf(live.pid))).toEqual(['mount'])
  const script = 'id -u; cat /proc/self/uid_map'
  expect(site.run({ namespaces: `user=${fileOf(live, 'user')} mount pid`, script }).stdout).toMatch(
    /^0\n\s+0\s+100000\s+65536\n$/,
  )
})

test('in a joined user namespace new namespaces belong to it', () => {
  using live = site.start({ namespaces: `${USUAL} user`, linux: MAPS })
  const { stdout, stderr } = site.run({
    namespaces: `user=${fileOf(live, 'user')} mount pid uts network`,
    process: {
      capabilities: {
        bounding: ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'],
        effective: ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'],
        permitted: ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'],
      },
    },
    script: 'hostname inside && hostname && ip link set lo down && echo down',
  })
  expect(stderr).toBe('')
  expect(stdout).toBe('inside\ndown\n')
})

test('the namespace that coffer is in itself may be named by its path', () => {
  const paths = TYPES.filter((type) => type !== 'mount').map((type) => `${type}=/proc/self/ns/${FILES[type]}`)
  expect(differ(namespacesIn({ namespaces: `mount ${paths.join(' ')}` }), OWN)).toEqual(['mount'])
  using live = site.start({ namespaces: `mount pid ${paths.filter((path) => !path.startsWith('pid')).join(' ')}` })
  expect(live.exec('echo in').stdout).toBe('in\n')
})

test('a path that is no namespace, or one of another type, is refused without being opened (S110)', () => {
  const fifo = `${site.directory}/fifo`
  sh(`mkfifo ${fifo}`)
  const refused = (path: string): string => site.run({ namespaces: `pid mount network=${path}` }).stderr
  expect(refused(fifo)).toContain(`cannot be sure that ${fifo} is a namespace`)
  expect(refused('/etc/hostname')).toContain('cannot be sure that /etc/hostname is a namespace')
  expect(refused('/proc/self/ns/uts')).toContain('cannot be sure that /proc/self/ns/uts is a network namespace')
  expect(refused('/nowhere/net')).toContain('ENOENT')
})

test('a cgroup namespace of its own shows the cgroup of the container as the root of all', () => {
  const { stdout } = site.run({ namespaces: 'mount pid cgroup', script: 'cat /proc/self/cgroup' })
  const paths = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(':')[2])
  expect(paths.length).toBeGreaterThan(0)
  expect(paths.filter((path) => path !== '/')).toEqual([])
  const inHosts = site.run({ namespaces: 'mount pid', script: 'cat /proc/self/cgroup' }).stdout
  expect(mountedLines(inHosts).filter((line) => line.endsWith(':/'))).toEqual([])
})

test('the clocks of a time namespace are those of the host and the offsets', () => {
  const linux = { timeOffsets: { boottime: { secs: 1_000_000 }, monotonic: { secs: -1, nanosecs: 500_000_000 } } }
  const uptime = (text: string): number => Number(text.split(' ')[0])
  const script = 'cat /proc/uptime /proc/self/timens_offsets'
  const before = uptime(readFileSync('/proc/uptime', 'utf8'))
  const { stdout } = site.run({ namespaces: `${USUAL} time`, linux, script })
  const after = uptime(readFileSync('/proc/uptime', 'utf8'))
  expect(uptime(stdout)).toBeGreaterThanOrEqual(before + 999_999)
  expect(uptime(stdout)).toBeLessThanOrEqual(after + 1_000_001)
  expect(stdout).toMatch(/monotonic\s+-1 500000000\nboottime\s+1000000\s+0/)
  using live = site.start({ namespaces: `${USUAL} time user`, linux: { ...linux, ...MAPS } })
  expect(uptime(live.exec('cat /proc/uptime').stdout)).toBeGreaterThan(before + 999_999)
})

test('clock_gettime(2) answers with the offsets, in a container and in a process of exec', () => {
  using clocks = cProgram('clocks', ['-static'])
  copyFileSync(clocks.path, `${site.rootfs}/bin/clocks`)
  const linux = { timeOffsets: { boottime: { secs: 2_000_000 }, monotonic: { secs: 1_000_000 } } }
  const before = sh(clocks.path).stdout.split(' ').map(Number)
  const isShifted = (outcome: Outcome): boolean => {
    const [monotonic = 0, boottime = 0] = outcome.stdout.split(' ').map(Number)
    const seconds = [monotonic - 1_000_000 - (before[0] ?? 0), boottime - 2_000_000 - (before[1] ?? 0)]
    return seconds.every((difference) => difference >= 0 && difference < 30)
  }
  expect(isShifted(site.run({ namespaces: 'mount pid time', linux, script: 'clocks' }))).toBe(true)
  using live = site.start({ namespaces: 'mount pid time', linux })
  expect(isShifted(live.exec('clocks'))).toBe(true)
})

test('a clock that would go below zero is refused with the reason', () => {
  const linux = { timeOffsets: { boottime: { secs: -4_000_000_000 } } }
  expect(site.run({ namespaces: 'mount pid time', linux }).stderr).toMatch(
    /cannot set the offsets of its clocks: .*ERANGE\n.*below 0/s,
  )
})

test('the new network namespace has a loopback that is up, and names are set in the new uts namespace alone', () => {
  const script = 'ip link show lo | head -1; hostname; cat /proc/sys/kernel/domainname'
  const { stdout } = site.run({ namespaces: USUAL, script, config: { hostname: 'a-name', domainname: 'a.domain' } })
  expect(stdout).toContain('LOOPBACK,UP')
  expect(stdout).toContain('a-name\na.domain\n')
  expect(sh('hostname').stdout).not.toContain('a-name')
})
