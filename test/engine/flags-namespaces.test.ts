/** The namespaces of containers by flags, as in the notes of a course on them: each docker command as typed, with coffer for docker. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

/** overlayfs takes idmapped layers that are mounted nowhere since Linux 6.15. */
const [major = 0, minor = 0] = release().split('.').map(Number)
const TRANSLATES = major > 6 || (major === 6 && minor >= 15)

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  const archive = busyboxArchive(engine.directory)
  engine.must('import', archive, 'ubuntu')
  engine.must('import', archive, 'alpine')
})
afterAll(() => engine[Symbol.dispose]())
afterEach(() => {
  for (const id of engine.must('ps', '-aq').split('\n')) if (id !== '') engine.must('rm', '--force', id)
})

/** A command line as the notes have it. */
const typed = (line: string): string => engine.must(...line.split(' ').slice(1))
const pidOf = (id: string): number => Number(readFileSync(join(engine.runRoot, id, 'init'), 'utf8').split(' ')[0])
const namespaceOf = (id: string, type: string): string => readlinkSync(`/proc/${pidOf(id)}/ns/${type}`)
const own = (type: string): string => readlinkSync(`/proc/self/ns/${type}`)

describe('two containers', () => {
  test('share process ids: each sees the processes of the other', () => {
    const first = typed('docker run -dit --name container1 ubuntu sleep 1000')
    const second = typed('docker run -dit --name container2 --pid=container:container1 ubuntu sleep 1000')
    expect(namespaceOf(second, 'pid')).toBe(namespaceOf(first, 'pid'))
    expect(engine.must('exec', 'container2', 'ps').match(/sleep 1000/g)?.length).toBe(2)
  })

  test('share a network: the same addresses and devices', () => {
    const first = typed('docker run -dit --name net1 ubuntu sleep 1000')
    const second = typed('docker run -dit --name net2 --net=container:net1 ubuntu sleep 1000')
    expect(namespaceOf(second, 'net')).toBe(namespaceOf(first, 'net'))
    expect(typed('docker exec net2 ip addr')).toBe(typed('docker exec net1 ip addr'))
  })

  test('share System V objects and message queues', () => {
    typed('docker run -dit --name ipc1 ubuntu sleep 1000')
    const second = typed('docker run -dit --name ipc2 --ipc=container:ipc1 ubuntu sleep 1000')
    expect(typed('docker exec ipc2 ls -l /proc/self/ns/ipc')).toContain(namespaceOf(second, 'ipc'))
    engine.must('exec', 'ipc1', 'touch', '/dev/mqueue/of-ipc1')
    expect(typed('docker exec ipc2 ls /dev/mqueue')).toBe('of-ipc1')
  })

  test('share a host name: what one changes the other sees', () => {
    typed('docker run -dit --name uts1 --cap-add SYS_ADMIN ubuntu sleep 1000')
    typed('docker run -dit --name uts2 --uts=container:uts1 ubuntu sleep 1000')
    typed('docker exec uts1 hostname shared-host')
    expect(typed('docker exec uts2 hostname')).toBe('shared-host')
  })

  test.each(['--mount=container:mount1', '--mount-ns=container:mount1'])('share mounts with %s', (flag) => {
    const first = typed('docker run -dit --name mount1 ubuntu sleep 1000')
    const second = typed(`docker run -dit --name mount2 ${flag} ubuntu sleep 1000`)
    expect(namespaceOf(second, 'mnt')).toBe(namespaceOf(first, 'mnt'))
    engine.must('exec', 'mount1', 'sh', '-c', 'echo seen >/tmp/file')
    expect(typed('docker exec mount2 cat /tmp/file')).toBe('seen')
    const { status, stderr } = engine.coffer('run', flag, '-v', '/tmp:/x', 'ubuntu', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('--volume needs mounts of its own')])
  })
})

describe('one container', () => {
  test('has namespaces of its own but for time and user ids', () => {
    const id = typed('docker run -d ubuntu sleep 1000')
    const differs = ['pid', 'net', 'ipc', 'uts', 'cgroup', 'mnt', 'time', 'user'].filter(
      (type) => namespaceOf(id, type) !== own(type),
    )
    expect(differs).toEqual(['pid', 'net', 'ipc', 'uts', 'cgroup', 'mnt'])
  })

  test.each([
    ['pid', 'pid'],
    ['net', 'net'],
    ['network', 'net'],
    ['ipc', 'ipc'],
    ['uts', 'uts'],
    ['cgroupns', 'cgroup'],
    ['userns', 'user'],
    ['time', 'time'],
  ])('has that of the host with --%s=host', (flag, type) => {
    expect(namespaceOf(engine.must('run', '-d', `--${flag}=host`, 'ubuntu', 'sleep', '1000'), type)).toBe(own(type))
  })

  test('with --pid=host sees all processes', () => {
    const seen = engine.must('run', '--rm', '--pid=host', 'ubuntu', 'ps')
    expect(seen.split('\n').length).toBeGreaterThan(10)
    expect(seen).toMatch(new RegExp(`^ *${process.pid} `, 'm'))
  })

  test('joins a namespace by its path', () => {
    const id = typed('docker run -d ubuntu sleep 1000')
    const path = `ns:/proc/${pidOf(id)}/ns/uts`
    expect(engine.must('run', '--rm', '--uts', path, 'ubuntu', 'hostname')).toBe(id.slice(0, 12))
  })

  test('has clocks of its own with --time-offset', () => {
    const uptime = Number(
      engine.must('run', '--rm', '--time-offset', '100000.5', 'ubuntu', 'cat', '/proc/uptime').split(' ')[0],
    )
    const hosts = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
    expect(Math.floor((uptime - hosts) / 1000)).toBe(100)
  })

  test('has no /dev/shm with --ipc none, and that of the host with --ipc host', () => {
    expect(engine.must('run', '--rm', '--ipc', 'none', 'ubuntu', 'mount')).not.toContain('/dev/shm')
    expect(engine.must('run', '--rm', '--ipc', 'shareable', 'ubuntu', 'mount')).toContain('/dev/shm')
    expect(engine.must('run', '--rm', '--ipc', 'host', 'ubuntu', 'mount')).toContain('/dev/shm')
  })

  test('runs with other user ids, in a directory whose files have them', () => {
    const rootfs = join(engine.directory, 'mapped')
    Bun.spawnSync(['cp', '-a', join(engine.directory, 'busybox'), rootfs])
    Bun.spawnSync(['chown', '-R', '100000:100000', rootfs])
    const map = engine.must(
      'run',
      '--rm',
      '--userns',
      'map:0:100000:65536',
      '--rootfs',
      rootfs,
      'cat',
      '/proc/self/uid_map',
    )
    expect(map.trim().split(/\s+/)).toEqual(['0', '100000', '65536'])
  })

  test.skipIf(!TRANSLATES)('shows an image and volumes with other user ids, and leaves them as they are', () => {
    const written = 'touch /of-container /data/file && stat -c %u /bin /of-container /etc/hosts /data /data/file'
    const flags = ['--userns', 'map:0:200000:1000', '-v', 'translated:/data']
    const id = engine.must('create', ...flags, 'ubuntu', 'sh', '-c', written)
    expect(engine.must('start', '--attach', id)).toBe('0\n0\n0\n0\n0')
    const owner = (...path: string[]): number => statSync(join(engine.dataRoot, ...path)).uid
    expect(owner('volumes', 'translated', '_data', 'file')).toBe(0)
    expect(owner('containers', id, 'upper', 'of-container')).toBe(200_000)
    engine.must('rm', '--volumes', id)
    expect(engine.must('run', '--rm', 'ubuntu', 'stat', '-c', '%u', '/bin')).toBe('0')
  })

  test('has the names that it is given', () => {
    const names = [
      '--hostname',
      'box',
      '--domainname',
      'example.org',
      '--add-host',
      'db:10.0.0.7',
      '--dns',
      '192.0.2.1',
      '--dns-search',
      'example.org',
      '--dns-option',
      'ndots:2',
    ]
    const shown = engine.must(
      'run',
      '--rm',
      ...names,
      'ubuntu',
      'sh',
      '-c',
      'hostname; cat /proc/sys/kernel/domainname /etc/hostname /etc/resolv.conf /etc/hosts',
    )
    expect(shown).toContain('box\nexample.org\nbox\nsearch example.org\nnameserver 192.0.2.1\noptions ndots:2\n')
    expect(shown).toContain('10.0.0.7\tdb')
    expect(engine.coffer('run', '--add-host', 'db:1.2.3', 'ubuntu', 'true').stderr).toContain(
      'invalid IP address in add-host: 1.2.3',
    )
    expect(engine.coffer('run', '--hostname', 'x', '--uts', 'host', 'ubuntu', 'true').stderr).toContain(
      'conflicting options: hostname and the UTS mode',
    )
  })

  test('is told what a word of its namespaces can be, and that another does not run', () => {
    expect(engine.coffer('run', '--pid', 'mine', 'ubuntu', 'true').stderr).toContain(
      'use private, host, container:NAME or ns:PATH',
    )
    const id = typed('docker create --name idle ubuntu true')
    expect(engine.coffer('run', '--pid', 'container:idle', 'ubuntu', 'true').stderr).toContain(
      'container idle is not running: it is created',
    )
    expect(id).toMatch(/^[0-9a-f]{64}$/)
  })
})
