/** podman of Debian with coffer-runc: containers, pods with their first container, and a pod of a Kubernetes document. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROGRAMS } from '../kernel/site.ts'
import { IMAGE, imageOf, RUNTIMES, type Runtime } from './docker.ts'
import { HAS_V2_ONLY, type Lab, type Outcome, startLab, until } from './lab.ts'
import { inTerminal } from './terminal.ts'

let lab: Lab

const podman = (runtime: Runtime, ...words: readonly string[]): readonly string[] => [
  ...['podman', '--runtime', PROGRAMS[runtime], '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
  ...['--root', join(lab.directory, 'podman'), '--runroot', '/run/podman', '--storage-driver', 'overlay', ...words],
]
const callWith = (runtime: Runtime, ...words: readonly string[]): Outcome =>
  lab.call(podman(runtime, ...words), { HOME: '/root' })
const call = (...words: readonly string[]): Outcome => callWith('coffer', ...words)
const ask = (...words: readonly string[]): string => lab.ask(podman('coffer', ...words), { HOME: '/root' })

beforeAll(async () => {
  lab = await startLab()
  const tar = imageOf(lab)
  ask('import', tar, IMAGE)
  ask('import', '--change', 'CMD ["/bin/sleep", "100000"]', tar, 'pause')
})

afterAll(async () => {
  expect(await lab.end()).toEqual([])
})

test('run shows the same as with runc', () => {
  const limit = HAS_V2_ONLY ? 'memory.max' : 'memory/memory.limit_in_bytes'
  const script = `grep -E "^(Cap|Seccomp:|NoNew)" /proc/self/status; cat /sys/fs/cgroup/${limit}; ulimit -n; ls /dev; hostname; id; pwd; cat /proc/self/oom_score_adj`
  const flags = [
    '--rm',
    '-m',
    '64m',
    '-h',
    'box',
    '-w',
    '/tmp',
    '--cap-add',
    'SYS_ADMIN',
    '--ulimit',
    'nofile=100:200',
    '--ulimit',
    'nproc=1000:1000',
    '-u',
    '1000',
  ]
  const [coffer, runc] = RUNTIMES.map((runtime) => {
    const { exitCode, stdout, stderr } = callWith(runtime, 'run', ...flags, IMAGE, 'sh', '-c', script)
    expect([runtime, exitCode, stderr]).toEqual([runtime, 0, ''])
    return stdout
  })
  expect(coffer).toContain('67108864\n100\n')
  expect(coffer).toBe(runc ?? '')
})

test('statuses are those of the program, or of podman for one that does not start', () => {
  for (const runtime of RUNTIMES) {
    const statusOf = (...words: readonly string[]): number | null =>
      callWith(runtime, 'run', '--rm', IMAGE, ...words).exitCode
    expect([runtime, statusOf('sh', '-c', 'exit 7'), statusOf('missing'), statusOf('/etc')]).toEqual([
      runtime,
      7,
      127,
      126,
    ])
  }
})

test('a container in the background is entered, paused, counted, copied from, stopped and started again', async () => {
  ask(
    'run',
    '-d',
    '--name',
    'one',
    IMAGE,
    'sh',
    '-c',
    'trap "echo asked; exit 5" TERM; echo started; while :; do sleep 0.1; done',
  )
  const state = (): string => ask('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'one')
  expect(ask('exec', '-e', 'A=b', '-u', '1000', 'one', 'sh', '-c', 'echo $A; id -u')).toBe('b\n1000')
  expect(call('exec', 'one', 'sh', '-c', 'exit 9').exitCode).toBe(9)
  expect(call('exec', 'one', 'missing').exitCode).toBe(127)
  ask('pause', 'one')
  expect(state()).toBe('paused 0')
  ask('unpause', 'one')
  expect(ask('top', 'one', 'pid', 'args')).toContain('trap')
  expect(ask('stats', '--no-stream', '--format', '{{.Name}} {{.PIDS}}', 'one')).toMatch(/^one [12]$/)
  ask('cp', 'one:/etc/passwd', join(lab.directory, 'passwd'))
  ask('stop', 'one')
  expect([state(), ask('logs', 'one')]).toEqual(['exited 5', 'started\nasked'])
  ask('start', 'one')
  ask('kill', 'one')
  await until('its end', () => state() === 'exited 137')
  ask('rm', 'one')
})

test('run -it and exec -it have terminals', async () => {
  const shell = inTerminal(lab.entering(podman('coffer', 'run', '--rm', '-it', '--name', 'terminal', IMAGE, 'sh')))
  await shell.sees('# ')
  shell.type('tty; until stty size 2>/dev/null | grep "24 80"; do sleep 0.1; done\n')
  await shell.sees('\r\n24 80\r')
  const second = inTerminal(lab.entering(podman('coffer', 'exec', '-it', 'terminal', 'sh')))
  await second.sees('# ')
  second.type('tty; exit 4\n')
  await second.sees('/dev/pts/1')
  expect(await second.exited).toBe(4)
  shell.type('exit 3\n')
  expect(await shell.exited).toBe(3)
})

test('containers of a pod share network, names and IPC with its first container, and end with the pod', async () => {
  ask('pod', 'create', '--name', 'pod', '--infra-image', 'localhost/pause')
  ask('run', '-d', '--pod', 'pod', '--name', 'server', IMAGE, 'sh', '-c', 'echo hello | nc -l -p 80')
  const client = 'until nc -w 1 127.0.0.1 80; do sleep 0.1; done'
  expect(ask('run', '--rm', '--pod', 'pod', IMAGE, 'sh', '-c', client)).toBe('hello')
  ask('run', '-d', '--pod', 'pod', '--name', 'second', IMAGE, 'sleep', '1000')
  ask('rm', '-t', '0', '-f', 'server')
  const infra = ask('pod', 'inspect', '-f', '{{.InfraContainerID}}', 'pod')
  const namespaces = (id: string): string => {
    const pid = ask('inspect', '-f', '{{.State.Pid}}', id)
    return lab.ask(['sh', '-c', `for n in net ipc uts pid; do readlink /proc/${pid}/ns/$n; done`])
  }
  const [net, ipc, uts, pid] = namespaces(infra).split('\n')
  expect(namespaces('second').split('\n')).toEqual([net, ipc, uts, expect.not.stringMatching(pid ?? '')])
  ask('pod', 'pause', 'pod')
  ask('pod', 'unpause', 'pod')
  ask('pod', 'stop', '-t', '0', 'pod')
  await until('its end', () => ask('pod', 'inspect', '-f', '{{.State}}', 'pod') === 'Exited')
  ask('pod', 'rm', '-f', 'pod')
})

test('a pod of a Kubernetes document is played and taken down', () => {
  const path = join(lab.directory, 'pod.yaml')
  const document = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'played' },
    spec: {
      containers: [
        {
          name: 'a',
          image: `localhost/${IMAGE}:latest`,
          imagePullPolicy: 'Never',
          command: ['/bin/sleep', '1000'],
          resources: { limits: { memory: '64Mi' } },
        },
        {
          name: 'b',
          image: `localhost/${IMAGE}:latest`,
          imagePullPolicy: 'Never',
          command: ['/bin/sleep', '1000'],
          securityContext: { runAsUser: 1000 },
        },
      ],
    },
  }
  writeFileSync(path, JSON.stringify(document))
  const config = join(lab.directory, 'containers.conf')
  writeFileSync(config, `[engine]\ninfra_image = "localhost/pause:latest"\n`)
  const play = (...words: readonly string[]): string =>
    lab.ask(podman('coffer', 'play', 'kube', ...words, path), { HOME: '/root', CONTAINERS_CONF: config })
  play()
  expect(ask('exec', 'played-b', '/bin/id', '-u')).toBe('1000')
  expect(ask('ps', '--format', '{{.Names}}', '--filter', 'pod=played').split('\n').length).toBe(3)
  play('--down')
  expect(ask('pod', 'ps', '-q')).toBe('')
})
