/** dockerd with --userns-remap: containers in user namespaces of their own. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Docker, IMAGE, RUNTIMES, startDocker } from './docker.ts'
import { type Lab, startLab } from './lab.ts'
import { inTerminal } from './terminal.ts'

let lab: Lab
let docker: Docker

beforeAll(async () => {
  lab = await startLab()
  // The files are the lab's own.
  lab.ask(['sh', '-c', 'echo daemon:100000:65536 >/etc/subuid; cp /etc/subuid /etc/subgid'])
  docker = await startDocker(lab, ['--userns-remap', 'daemon'])
})

afterAll(async () => {
  expect(await lab.end()).toEqual([])
})

test('root of a container is a user without rights on the host, in run and exec', () => {
  for (const runtime of RUNTIMES) {
    docker.ask('run', '-d', '--runtime', runtime, '--name', 'one', '-m', '64m', IMAGE, 'sleep', '1000')
    const script =
      'id -u; tr -s " " </proc/self/uid_map; mknod /x c 1 3 2>&1 || mount -t tmpfs t /mnt 2>&1 || echo >/root/mine; stat -c %u /root'
    const expected = [
      '0',
      ' 0 100000 65536',
      'mknod: /x: Operation not permitted',
      'mount: permission denied (are you root?)',
      '0',
    ]
    expect([runtime, docker.ask('exec', 'one', 'sh', '-c', script).split('\n')]).toEqual([runtime, expected])
    expect([runtime, docker.ask('run', '--rm', '--runtime', runtime, IMAGE, 'sh', '-c', script).split('\n')]).toEqual([
      runtime,
      expected,
    ])
    const pid = docker.ask('inspect', '-f', '{{.State.Pid}}', 'one')
    expect(lab.ask(['stat', '-c', '%u', `/proc/${pid}`])).toBe('100000')
    docker.ask('rm', '-f', 'one')
    const host = docker.ask('run', '--rm', '--runtime', runtime, '--userns', 'host', IMAGE, 'cat', '/proc/self/uid_map')
    expect(host).toMatch(/^\s*0\s+0\s+4294967295$/)
  }
})

test('terminals, users, volumes and file systems in memory belong to the container', async () => {
  docker.ask('volume', 'create', 'kept')
  const flags = ['--rm', '-u', '1000', '-v', 'kept:/kept', '--tmpfs', '/memory:uid=1000', '--init', '--network', 'none']
  const script = 'id -u; touch /memory/x && stat -c %u /memory/x; stat -c %u /kept; cat /sys/class/net/lo/mtu'
  expect(docker.ask('run', ...flags, IMAGE, 'sh', '-c', script)).toBe('1000\n1000\n0\n65536')
  const shell = inTerminal(docker.words('run', '--rm', '-it', IMAGE, 'sh'))
  await shell.sees('# ')
  shell.type('stat -c "%u %t" $(tty); exit 3\n')
  await shell.sees('\r\n0 88\r\n')
  expect(await shell.exited).toBe(3)
})
