/**
 * The docker examples of a course on namespaces and control groups, typed into a terminal as the notes have them, with coffer for docker.
 *
 * What they share of namespaces without a terminal is in flags-namespaces.test.ts.
 */

import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import { chmodSync, existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inTerminal, type Session } from '../clients/terminal.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  const archive = busyboxArchive(engine.directory)
  const root = join(engine.directory, 'busybox')
  writeFileSync(join(root, 'bin', 'bash'), '#!/bin/sh\nexec sh "$@"\n')
  chmodSync(join(root, 'bin', 'bash'), 0o755)
  Bun.spawnSync(['tar', '-C', root, '-cf', archive, '.'])
  engine.must('import', archive, 'ubuntu')
  engine.must('import', archive, 'alpine')
})
afterAll(() => engine[Symbol.dispose]())
afterEach(() => {
  for (const id of engine.must('ps', '-aq').split('\n')) if (id !== '') engine.must('rm', '--force', id)
})

const COFFER = join(import.meta.dir, '..', '..', 'dist', 'coffer')

/** A line of the notes, which a shell takes apart. */
const inShell = (line: string): readonly string[] => ['sh', '-c', line.replace(/^docker /, `exec ${COFFER} `)]
const typed = (line: string): string => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...inShell(line)], { env: engine.env })
  expect([line, exitCode, stderr.toString()]).toEqual([line, 0, ''])
  return stdout.toString().trim()
}

const BEGIN = '\nbegin of it\n'

/** Types into the shell of a container, and answers what that prints. */
async function answerOf(shell: Session, script: string): Promise<string> {
  await shell.sees('# ')
  // The terminal shows what is typed as well, so begin and end are spelt otherwise there.
  shell.type(`echo "be"gin "of" it; ${script}; echo "e"nd "of" it\n`)
  await shell.sees('\nend of it\r')
  const printed = shell.printed().replaceAll('\r', '')
  return printed.slice(printed.indexOf(BEGIN) + BEGIN.length, printed.lastIndexOf('end of it'))
}

/** What a shell in a container prints; the shell ends behind it. */
async function asked(line: string, script: string): Promise<string> {
  const shell = inTerminal(inShell(line), engine.env)
  const answer = await answerOf(shell, script)
  shell.type('exit\n')
  expect(await shell.exited).toBe(0)
  return answer
}

const namespacesOf = (listing: string): Readonly<Record<string, string>> =>
  Object.fromEntries([...listing.matchAll(/ (\w+) -> (\w+:\[\d+\])/g)].map(([, name = '', id = '']) => [name, id]))

test('an interactive shell has a host name, processes and namespaces of its own', async () => {
  const answer = await asked('docker run -it --rm alpine sh', 'hostname; ps aux; ls -l /proc/self/ns/')
  expect(answer).toMatch(/^[0-9a-f]{12}$/m)
  const processes = answer.split('\n').filter((line) => /^ *\d+ root /.test(line))
  expect([processes.length, processes[0]]).toEqual([2, expect.stringMatching(/^ *1 root +sh$/)])
  const inside = namespacesOf(answer)
  for (const name of ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts'])
    expect([name, inside[name]]).not.toEqual([name, readlinkSync(`/proc/self/ns/${name}`)])
  expect(engine.must('ps', '-aq')).toBe('')
})

test("the host finds a container's process, and its namespaces below /proc", () => {
  const id = typed('docker run -dit --name web alpine sh')
  const pid = typed(`docker inspect --format '{{.State.Pid}}' ${id}`)
  expect(typed("docker inspect --format '{{.State.Pid}}' web")).toBe(pid)
  expect(readdirSync(`/proc/${pid}/ns/`)).toContain('pid_for_children')
  expect(namespacesOf(engine.must('exec', 'web', 'ls', '-l', '/proc/1/ns/')).net).toBe(
    readlinkSync(`/proc/${pid}/ns/net`),
  )
})

const isV1 = existsSync('/sys/fs/cgroup/memory')
const cgroup = (v1: string, v2: string): string => `/sys/fs/cgroup/${isV1 ? v1 : v2}`
const THROTTLED = `while ! grep -q "nr_throttled [1-9]" ${cgroup('cpu/cpu.stat', 'cpu.stat')}; do :; done; echo slowed`
const QUOTA = `cat ${cgroup('cpu/cpu.cfs_quota_us', 'cpu.max')}`

test.each([
  ['docker run --rm -it --cpus="0.5" ubuntu bash', `${QUOTA}; ${THROTTLED}`, /^50000( 100000)?\nslowed\n$/],
  [
    'docker run --rm -it --cpu-quota=50000 --cpu-period=100000 ubuntu bash',
    `${QUOTA}; ${THROTTLED}`,
    /^50000( 100000)?\nslowed\n$/,
  ],
  [
    'docker run --rm -it --cpu-shares=512 ubuntu bash',
    `cat ${cgroup('cpu/cpu.shares', 'cpu.weight')}`,
    isV1 ? /^512\n$/ : /^\d+\n$/,
  ],
  [
    'docker run --rm -it --pids-limit=50 ubuntu bash',
    `cat ${cgroup('pids/pids.max', 'pids.max')}; (for n in $(seq 60); do sleep 9 & done) 2>&1 | grep -m 1 fork`,
    /^50\n.*can't fork.*\n$/,
  ],
])('%s: the kernel sees to it', async (line, script, expected) => {
  expect(await asked(line, script)).toMatch(expected)
})

test('a shell in the second of two containers sees the processes of the first', async () => {
  typed('docker run -dit --name container1 ubuntu sleep 1000')
  typed('docker run -dit --name container2 --pid=container:container1 ubuntu sleep 1000')
  const processes = await asked('docker exec -it container2 bash', 'ps aux')
  expect(processes.match(/ sleep 1000$/gm)?.length).toBe(2)
})

test('the second of two containers has the address of the first', async () => {
  typed('docker run -dit --name net1 ubuntu sleep 1000')
  typed('docker run -dit --name net2 --net=container:net1 ubuntu sleep 1000')
  const second = inTerminal(inShell('docker exec -it net2 ip addr'), engine.env)
  expect(await second.exited).toBe(0)
  const address = typed("docker inspect --format '{{.NetworkSettings.IPAddress}}' net1")
  expect(second.printed()).toContain(`inet ${address}/`)
})

test('a shell with --pid=host sees all processes of the host', async () => {
  const processes = await asked('docker run -it --pid=host ubuntu bash', 'ps aux')
  expect(processes).toMatch(new RegExp(`^ *${process.pid} `, 'm'))
})
