/** Networks of a user without privilege: by pasta or slirp4netns, and those of other containers. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withNeighbour } from './neighbour.ts'
import { openUserEngine, type UserEngine } from './rootless-engine.ts'

let user: UserEngine
beforeAll(() => {
  user = openUserEngine(true)
  user.must('import', user.archive, 'busybox')
})
afterAll(() => user[Symbol.dispose]())

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
const ask = (address: string, port: number): string => outside('busybox', 'nc', '-w', '1', address, `${port}`).trim()
const netnsDirectory = (): string => join(user.runRoot, '.netns')

/** Answers each connection to its port 80 with its name. */
function serve(name: string, ...flags: readonly string[]): void {
  user.must('run', '--detach', '--name', name, ...flags, 'busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', name)
  untilListening(name)
}

const untilListening = (name: string): string =>
  user.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')

/** The first line of /proc/PID/stat names it; a process that ended and was not reaped yet is none. */
const isAlive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
type Connector = 'pasta' | 'slirp4netns'
/** The process beside the one container that has one: pasta writes its pid down, slirp4netns has a lock. */
const besideOf = (connector: Connector): number => {
  const [file = ''] = readdirSync(netnsDirectory()).filter((name) => name.endsWith(`.${connector}`))
  const path = join(netnsDirectory(), file)
  return connector === 'pasta'
    ? Number(readFileSync(path, 'utf8'))
    : Number(readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && filesOf(pid).includes(path)))
}

/** Nothing for one that has ended meanwhile. */
function filesOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  } catch {
    return []
  }
}

function commandOf(pid: string): string {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : ''
  } catch {
    return ''
  }
}

/** A machine with a way out: by the neighbour at 192.168.71.2. */
const withWayOut = (body: (near: (...words: readonly string[]) => string) => void): void =>
  withNeighbour(71, (near) => {
    outside('ip', 'route', 'add', 'default', 'via', '192.168.71.2')
    body(near)
  })

const CONNECTORS: readonly Connector[] = ['pasta', 'slirp4netns']

test.each(CONNECTORS)(
  'without root a container has a way out and published ports by %s, and nothing of it is left',
  (name) => {
    writeFileSync(join(user.directory, 'far'), 'far away\n')
    withWayOut((near) => {
      serve('web', '--network', name, '--publish', '127.0.0.1:8171:80', '--publish', '192.168.71.1:8172:80')
      const from = (port: number): string => near('busybox', 'nc', '-w', '1', '192.168.71.1', `${port}`).trim()
      expect([ask('127.0.0.1', 8171), ask('192.168.71.1', 8172), from(8172)]).toEqual(['web', 'web', 'web'])
      // What is published on the loopback is not there for others.
      expect(from(8171)).toBe('')
      expect(user.must('port', 'web').split('\n')).toEqual(['80/tcp -> 127.0.0.1:8171', '80/tcp -> 192.168.71.1:8172'])
      const script = `busybox httpd -f -p 90 -h ${user.directory} >/dev/null 2>&1 & echo $!`
      const far = Number(near('sh', '-c', script))
      near('sh', '-c', 'until busybox netstat -ltn | grep -q ":90 "; do :; done')
      expect(user.must('exec', 'web', 'busybox', 'wget', '-qO', '-', 'http://192.168.71.2:90/far')).toBe('far away')
      process.kill(far)

      const first = besideOf(name)
      user.must('restart', '--time', '0', 'web')
      untilListening('web')
      expect([isAlive(first), ask('127.0.0.1', 8171)]).toEqual([false, 'web'])
      const second = besideOf(name)
      user.must('rm', '--force', 'web')
      expect([isAlive(second), readdirSync(netnsDirectory())]).toEqual([false, []])
    })
  },
)

test.each(CONNECTORS)(
  'ports that nobody chose, and ranges, are free ones by %s, and those that are taken are refused',
  (name) => {
    withWayOut(() => {
      const second = ['--publish', '127.0.0.1:8176-8178:81', '--publish', '127.0.0.1::80/udp']
      serve('chosen', '--network', name, '--publish', '80', '--expose', '82', '--publish-all', ...second)
      const [tcp = 0, ranged, all = 0, udp = 0] = ['80/tcp', '81/tcp', '82/tcp', '80/udp'].map((port) =>
        Number(/:(\d+)$/.exec(user.must('port', 'chosen', port))?.[1]),
      )
      expect([ask('127.0.0.1', tcp), ranged, Math.min(tcp, all, udp) >= 1024]).toEqual(['chosen', 8176, true])
      const other = user.must('run', '--detach', '--network', name, ...second.slice(0, 2), 'busybox', 'sleep', '1000')
      expect(user.must('port', other)).toBe('81/tcp -> 127.0.0.1:8177')
      const { status, stderr } = user.coffer('run', '--rm', '--network', name, '-p', '8176:80', 'busybox', 'true')
      expect([status, stderr]).toEqual([125, expect.stringContaining('0.0.0.0:8176 failed: port is already allocated')])
      user.must('rm', '--force', 'chosen', other)
      expect(readdirSync(join(user.dataRoot, 'networks', '.ports'))).toEqual([])
    })
  },
)

const SERVE_LOOPBACK = `import socket
server = socket.create_server(("127.0.0.1", 8173))
while True:
    client = server.accept()[0]; client.send(b"inner"); client.close()`

test.each(CONNECTORS)(
  'a container by %s does not reach what listens on the loopback of this machine (S232)',
  (name) => {
    withWayOut(() => {
      const server = Bun.spawn(['python3', '-c', SERVE_LOOPBACK])
      try {
        outside('sh', '-c', 'until busybox nc -w 1 127.0.0.1 8173; do :; done')
        // Those of this machine, the gateways and name servers that pasta and slirp4netns have, and its own.
        const addresses = ['127.0.0.1', '192.168.71.1', '192.168.71.2', '10.0.2.2', '10.0.2.3', '::1']
        const tries = addresses.map((address) => `nc -w 1 ${address} 8173 2>/dev/null &`)
        const asked = ['busybox', 'sh', '-c', `${tries.join(' ')} wait`]
        expect(user.must('run', '--rm', '--network', name, ...asked)).toBe('')
        expect(user.must('run', '--rm', '--network', 'host', ...asked)).toContain('inner')
      } finally {
        server.kill()
      }
    })
  },
)

test.each(CONNECTORS)(
  'a %s that is killed takes the network of its container alone, and a start brings it back',
  (name) => {
    withWayOut(() => {
      serve('alone', '--network', name, '--publish', '127.0.0.1:8174:80')
      process.kill(besideOf(name), 'SIGKILL')
      outside('sh', '-c', 'while busybox nc -w 1 127.0.0.1 8174; do :; done')
      expect(user.must('ps', '--format', '{{.Names}}')).toBe('alone')
      user.must('restart', '--time', '0', 'alone')
      untilListening('alone')
      expect(ask('127.0.0.1', 8174)).toBe('alone')
      // Its monitor is killed: the next command ends what was beside it.
      const beside = besideOf(name)
      const init = Number(user.must('inspect', '--format', '{{.State.Pid}}', 'alone'))
      const monitor = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1])
      process.kill(monitor, 'SIGKILL')
      process.kill(init, 'SIGKILL')
      outside('sh', '-c', `while grep -q '^State:.[^ZX]' /proc/${init}/status 2>/dev/null; do :; done`)
      expect(user.must('ps', '--quiet')).toBe('')
      expect([isAlive(beside), readdirSync(netnsDirectory())]).toEqual([false, []])
      user.must('rm', 'alone')
    })
  },
)

test.each(CONNECTORS)('what %s is beside is gone, however and whenever its command is killed (S244)', (name) => {
  const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')
  const words = `run --rm --network ${name} --publish 80 busybox sleep 0.02`
  const isOurs = (pid: string): boolean =>
    [...filesOf(pid), commandOf(pid)].some((text) => text.includes(netnsDirectory()))
  withWayOut(() => {
    for (let round = 0; round < 10; round++)
      user.run('sh', '-c', `${program} ${words} & sleep ${round * 0.015}; kill -9 $!; wait`)
    // Their monitors and cleaners live on.
    while (user.must('ps', '--quiet') !== '');
    for (const id of user.must('ps', '--all', '--quiet').split('\n').filter(Boolean)) user.coffer('rm', '--force', id)
    expect([readdirSync(netnsDirectory()), readdirSync('/proc').filter(isOurs)]).toEqual([[], []])
  })
})

test('a container shares namespaces of another one, with the same ids', () => {
  user.must('run', '--detach', '--name', 'first', 'busybox', 'sleep', '1000')
  const pid = user.must('inspect', '--format', '{{.State.Pid}}', 'first')
  for (const [flag, name] of [
    ['network', 'net'],
    ['pid', 'pid'],
    ['ipc', 'ipc'],
    ['uts', 'uts'],
  ] as const) {
    const second = user.must('run', '--detach', `--${flag}`, 'container:first', 'busybox', 'sleep', '1000')
    const other = user.must('inspect', '--format', '{{.State.Pid}}', second)
    for (const shared of [name, 'user'])
      expect(readlinkSync(`/proc/${other}/ns/${shared}`)).toBe(readlinkSync(`/proc/${pid}/ns/${shared}`))
    expect(readlinkSync(`/proc/${other}/ns/mnt`)).not.toBe(readlinkSync(`/proc/${pid}/ns/mnt`))
    expect(user.must('exec', '--user', 'guest', second, 'cat', '/private/file')).toBe('secret')
    user.must('rm', '--force', second)
  }
  user.must('rm', '--force', 'first')
})

test('what takes privilege over the machine is refused by name, and nothing is made', () => {
  const refusal = (...words: readonly string[]): string => user.coffer(...words).stderr
  expect(refusal('network', 'create', 'own')).toContain('cannot make the network own: bridges and rules take privilege')
  expect(user.must('network', 'ls', '--quiet')).toBe('')
  expect(refusal('run', '--network', 'own', 'busybox', 'true')).toMatch(
    /cannot connect the container to own: without root .*\nhint: .* --network container:NAME/,
  )
  expect(refusal('run', '--network', 'bridge', '--ip', '10.0.0.2', 'busybox', 'true')).toContain('leave --ip away')
  expect(refusal('run', '--publish', '8175:80/sctp', 'busybox', 'true')).toContain('leave the sctp port away')
  const slirp = ['run', '--network', 'slirp4netns']
  expect(refusal(...slirp, '--publish', '[fd00::1]:8175:80', 'busybox', 'true')).toContain('slirp4netns forwards IPv4')
  user.must('run', '--detach', '--name', 'sees', '--pid', 'host', '--network', 'none', 'busybox', 'sleep', '1000')
  for (const pid of ['host', 'container:sees'])
    expect(refusal(...slirp, '--pid', pid, 'busybox', 'true')).toContain('its root could take slirp4netns over')
  for (const flags of [
    ['--network', 'pasta'],
    ['--egress', 'web.example:80'],
  ])
    expect(refusal('run', '--rm', '--ipc', 'container:sees', ...flags, 'busybox', 'true')).toContain(
      'it shares namespaces with one that sees the processes of this machine (--pid host)',
    )
  user.must('rm', '--force', 'sees')
  expect(refusal('run', '--memory', '100m', 'busybox', 'true')).toContain('linux.resources.memory.limit')
  // This machine has no way out here.
  expect(refusal('run', '--publish', '8175:80', 'busybox', 'true')).toContain('cannot connect the container by pasta')
  for (const id of user.must('ps', '--all', '--quiet').split('\n')) user.must('rm', id)
  expect(readdirSync(netnsDirectory())).toEqual([])
})

test('a container for which no network was asked has a way out, as with docker', () => {
  const routed = (...words: readonly string[]) => user.coffer('run', '--rm', ...words, 'busybox', 'ip', 'route')
  withWayOut(() => {
    const { stdout, stderr } = routed()
    expect([stdout.split(' ').slice(0, 3), stderr]).toEqual([['default', 'via', '192.168.71.2'], ''])
    expect(routed('--network', 'none')).toEqual({ status: 0, stdout: '', stderr: '' })
    const id = user.must('create', 'busybox', 'true')
    expect(user.must('inspect', '--format', '{{.HostConfig.NetworkMode}}', id)).toBe('pasta')
    user.must('rm', id)
  })
  // Without a way out of this machine there is none, and nobody has to be told.
  expect(routed()).toEqual({ status: 0, stdout: '', stderr: '' })
  // pasta takes no device of a loopback.
  outside('ip', 'route', 'add', 'default', 'dev', 'lo')
  try {
    const { status, stdout, stderr } = routed()
    expect([status, stdout, stderr]).toEqual([
      0,
      '',
      expect.stringMatching(/^warning: the container has no network: cannot connect the container by pasta: .*\n$/),
    ])
    expect(routed('--network', 'bridge').status).toBe(125)
  } finally {
    outside('ip', 'route', 'del', 'default', 'dev', 'lo')
  }
  for (const id of user.must('ps', '--all', '--quiet').split('\n').filter(Boolean)) user.must('rm', id)
  expect(readdirSync(netnsDirectory())).toEqual([])
})

/** Answers each question for an address with 192.0.2.7. */
const SERVE_NAMES = `import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(("127.0.0.1", 53))
while True:
    q, client = server.recvfrom(512)
    end = q.index(b"\\0", 12) + 5
    server.sendto(q[:2] + b"\\x81\\x80" + q[4:6] + b"\\0\\1\\0\\0\\0\\0" + q[12:end] + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4\\xc0\\0\\2\\x07", client)`

test.each(CONNECTORS)(
  'by %s names are asked of a server on the loopback of this machine, and the host name is known',
  (name) => {
    using local = openUserEngine(true, { resolvConf: 'nameserver 127.0.0.1\n' })
    local.must('import', local.archive, 'busybox')
    withWayOut(() => {
      const server = Bun.spawn(['python3', '-c', SERVE_NAMES])
      try {
        outside('sh', '-c', 'until busybox netstat -lun | grep -q "127.0.0.1:53 "; do :; done')
        const script =
          'busybox nslookup -type=a far.example | tail -n +4; busybox ping -c 1 -w 1 $(hostname) >/dev/null && echo known'
        const seen = local.must('run', '--rm', '--network', name, 'busybox', 'sh', '-c', script)
        expect(seen).toMatch(/Name:\tfar\.example\nAddress: 192\.0\.2\.7\n+known$/)
      } finally {
        server.kill()
      }
    })
  },
)

test('where pasta is not installed slirp4netns is used, and without either the package is named', () => {
  using second = openUserEngine(true, { lacks: ['pasta'] })
  second.must('import', second.archive, 'busybox')
  const mode = second.must('run', '--detach', '--name', 'by', '--network', 'bridge', 'busybox', 'sleep', '1000')
  expect(mode).toHaveLength(64)
  expect(second.must('inspect', '--format', '{{.HostConfig.NetworkMode}}', 'by')).toBe('slirp4netns')
  expect(second.must('info', '--format', '{{json .Plugins.Network}}')).toBe('["slirp4netns","host","none"]')
  expect(second.must('doctor')).toMatch(/^good {2}network +rootless, by slirp4netns$/m)
  const seeing = second.coffer('run', '--rm', '--pid', 'host', 'busybox', 'ip', 'route')
  expect([seeing.stdout, seeing.stderr]).toEqual([
    '',
    expect.stringContaining('warning: the container has no network: with --pid host'),
  ])
  expect(second.coffer('run', '--network', 'pasta', 'busybox', 'true').stderr).toContain('install the package passt')
  second.must('rm', '--force', 'by')
  using neither = openUserEngine(true, { lacks: ['pasta', 'slirp4netns'] })
  neither.must('import', neither.archive, 'busybox')
  expect(neither.coffer('run', '--network', 'bridge', 'busybox', 'true').stderr).toMatch(
    /neither is installed\nhint: +install the package passt/,
  )
  const warned = neither.coffer('run', '--rm', 'busybox', 'ip', 'route')
  expect([warned.status, warned.stdout, warned.stderr]).toEqual([
    0,
    '',
    'warning: the container has no network: install the package passt, or give --network none\n',
  ])
  expect(neither.coffer('run', '--rm', '--network', 'none', 'busybox', 'true').stderr).toBe('')
  expect(neither.must('doctor')).toMatch(/^less {2}network .*\n +hint: the package passt, or slirp4netns$/m)
})

test('the root of a user namespace has the same networks', () => {
  const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')
  const roots = [`COFFER_DATA_ROOT=${user.home}/inner`, `COFFER_RUN_ROOT=${user.home}/inner-run`]
  const inner = (...words: readonly string[]): string => {
    const through = ['env', ...roots, program, 'unshare', '--map-auto', '--map-root-user', program]
    const { stdout, stderr } = user.run(...through, ...words)
    return stdout + stderr
  }
  inner('import', user.archive, 'busybox')
  withWayOut(() => {
    const route = (...flags: readonly string[]): string => inner('run', '--rm', ...flags, 'busybox', 'ip', 'route')
    expect(route()).toMatch(/^default via 192\.168\.71\.2 /)
    expect(route('--network', 'slirp4netns')).toMatch(/^default via 10\.0\.2\.2 /)
    const egress = ['--egress', 'web.example:80']
    expect(inner('run', '--rm', ...egress, 'busybox', 'cat', '/etc/resolv.conf')).toMatch(/^nameserver 127\.0\.0\.53\n/)
  })
})

test('explain shows how a container joins what it is connected by, and makes nothing', () => {
  const made = (): readonly string[] => [
    ...readdirSync(user.dataRoot, { recursive: true }).map(String),
    ...(existsSync(netnsDirectory()) ? readdirSync(netnsDirectory()) : []),
  ]
  const before = made()
  const plan = (...flags: readonly string[]): string => user.must('explain', 'run', ...flags, 'busybox', 'true')
  for (const flags of [
    ['--network', 'slirp4netns'],
    ['--egress', 'web.example:80'],
  ]) {
    expect(plan(...flags)).toMatch(
      /enter the user namespace .*\/\.netns\/[0-9a-f]{64}\.user[\s\S]*enter the network namespace .*\.net /,
    )
  }
  expect(plan('--egress', 'web.example:80')).toContain('have the sockets for the relay')
  expect(plan('--network', 'none')).not.toContain('.netns')
  expect(made()).toEqual(before)
})

test('namespaces of another container are joined beside a network of its own', () => {
  user.must('run', '--detach', '--name', 'first', '--network', 'none', 'busybox', 'sleep', '1000')
  const joining = ['--pid', 'container:first', '--network', 'slirp4netns']
  const seen = user.must('run', '--rm', ...joining, 'busybox', 'sh', '-c', 'ps | grep -c "[s]leep 1000"; ip route')
  expect(seen).toMatch(/^[12]\ndefault via 10\.0\.2\.2 dev eth0/)
  user.must('rm', '--force', 'first')
})
