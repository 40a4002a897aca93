/** containerd of Debian and its own command, with coffer-runc as the program of its shim. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeRootfs } from '../kernel/bundle.ts'
import { PROGRAMS } from '../kernel/site.ts'
import { CONTAINERD, startContainerd } from './containerd.ts'
import { HAS_V2_ONLY, type Lab, type Outcome, startLab, until } from './lab.ts'
import { inTerminal } from './terminal.ts'

let lab: Lab
let rootfs: string
let events: () => string

const ctr = (...words: readonly string[]): readonly string[] => ['ctr', '--address', CONTAINERD, ...words]
const call = (...words: readonly string[]): Outcome => lab.call(ctr(...words))
const ask = (...words: readonly string[]): string => lab.ask(ctr(...words))

beforeAll(async () => {
  lab = await startLab()
  rootfs = join(lab.directory, 'rootfs')
  makeRootfs(rootfs)
  await startContainerd(lab)
  events = lab.daemon('events', ctr('events'))
})

afterAll(async () => {
  expect(await lab.end()).toEqual([])
})

/** The flags of `run` that come before the root file system, and the words behind it. */
const run = (flags: readonly string[], id: string, ...words: readonly string[]): readonly string[] => [
  ...['run', '--rootfs', '--runc-binary', PROGRAMS.coffer, '--env', 'PATH=/bin', ...flags],
  ...[rootfs, id, ...words],
]

/** A container that ends with 5 when it is asked to. */
function start(id: string): Disposable {
  ask(...run(['--detach'], id, 'sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.1; done'))
  return {
    [Symbol.dispose]: () => {
      call('tasks', 'delete', '--force', id)
      call('containers', 'delete', id)
    },
  }
}

/** The line of the task. */
const status = (id: string): string | undefined =>
  ask('tasks', 'list')
    .split('\n')
    .find((line) => line.startsWith(`${id} `))
    ?.split(/\s+/)[2]

test('run gives output and status of the program, with the flags of ctr', () => {
  expect(ask(...run(['--rm'], 'one', 'echo', 'hello'))).toBe('hello')
  expect(call(...run(['--rm'], 'one', 'sh', '-c', 'exit 7')).exitCode).toBe(7)
  const limit = HAS_V2_ONLY ? 'default/one/memory.max' : 'memory/default/one/memory.limit_in_bytes'
  const flags = ['--memory-limit', '33554432', '--cwd', '/tmp', '--env', 'A=b', '--seccomp', '--mount']
  const mounts = [`type=bind,src=/sys/fs/cgroup,dst=/mnt,options=rbind:ro`]
  const script = `echo $A; pwd; cat /mnt/${limit}`
  expect(call(...run(['--rm', ...flags, ...mounts], 'one', 'sh', '-c', script)).stdout).toBe('b\n/tmp\n33554432\n')
  expect(call(...run(['--rm'], 'one', 'missing')).stderr).toContain('executable file not found in $PATH')
})

test('run has a terminal', async () => {
  const shell = inTerminal(lab.entering(ctr(...run(['--rm', '--tty'], 'terminal', 'sh'))))
  await shell.sees('# ')
  // ctr tells the size once the task runs.
  shell.type('tty; until stty size 2>/dev/null | grep "24 80"; do sleep 0.1; done; exit 3\n')
  await shell.sees('/dev/pts/0\r')
  await shell.sees('\n24 80\r')
  expect(await shell.exited).toBe(3)
})

test('a task is seen, gets a second process, is paused and resumed, counted, asked to end, and deleted', async () => {
  using _ = start('two')
  expect(status('two')).toBe('RUNNING')
  expect(ask('tasks', 'exec', '--exec-id', 'a', 'two', 'echo', 'more')).toBe('more')
  expect(call('tasks', 'exec', '--exec-id', 'b', 'two', 'sh', '-c', 'exit 4').exitCode).toBe(4)
  ask('tasks', 'pause', 'two')
  expect(status('two')).toBe('PAUSED')
  ask('tasks', 'resume', 'two')
  expect(status('two')).toBe('RUNNING')
  expect(ask('tasks', 'ps', 'two').split('\n').length).toBeGreaterThan(1)
  const metrics = ask('tasks', 'metrics', 'two')
  expect(metrics).toMatch(HAS_V2_ONLY ? /memory\.usage\s+[1-9]/ : /memory\.usage_in_bytes\s+[1-9]/)
  expect(metrics).toMatch(/pids\.current\s+[12]\b/)
  ask('tasks', 'kill', '--signal', 'TERM', 'two')
  await until('its end', () => status('two') === 'STOPPED')
  expect(call('tasks', 'delete', 'two').stderr).toContain('exit with non-zero exit code 5')
  expect([status('two'), ask('containers', 'list')]).toEqual([undefined, expect.stringContaining('two')])
  ask('containers', 'delete', 'two')
  const topics = ['create', 'start', 'exec-added', 'exec-started', 'paused', 'resumed', 'exit', 'delete']
  await until('the events', () => topics.every((topic) => events().includes(`/tasks/${topic} `)))
})

test('a killed container ends with 137, and force ends what is left', async () => {
  using _ = start('three')
  ask('tasks', 'kill', '--signal', 'KILL', 'three')
  await until('its end', () => status('three') === 'STOPPED')
  expect(call('tasks', 'delete', 'three').stderr).toContain('exit code 137')
  using _four = start('four')
  expect(call('tasks', 'delete', '--force', 'four').stderr).toContain('exit code 137')
})

/** Debian's criu reads the kernel that it runs on before anything else. */
const criuWorks = (): boolean => Bun.spawnSync(['criu', 'check']).exitCode === 0

test.skipIf(!criuWorks())('a task is written to images by criu, and goes on or ends', () => {
  using _ = start('five')
  const images = join(lab.directory, 'images')
  mkdirSync(images)
  ask('tasks', 'checkpoint', '--image-path', images, 'five')
  expect(lab.ask(['ls', images])).toContain('core-1.img')
  expect(status('five')).toBe('RUNNING')
})
