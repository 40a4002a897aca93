/** Health checks: states, what they print and what is left of them. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const directoryOf = (id: string): string => join(engine.dataRoot, 'containers', id)
const start = (name: string, command: string, ...flags: readonly string[]): string =>
  engine.must(
    'run',
    '-d',
    '--network',
    'none',
    '--name',
    name,
    '--health-cmd',
    command,
    ...flags,
    'busybox',
    'sleep',
    '1000',
  )
const health = (name: string) => JSON.parse(engine.must('inspect', '--format', '{{json .State.Health}}', name))

/** Resolves when `holds` does; it is asked anew whenever something changes in the directory of the container. */
async function until(id: string, holds: () => boolean): Promise<void> {
  const changes = watch(directoryOf(id))
  try {
    while (!holds()) await new Promise((resolve) => changes.once('change', resolve))
  } finally {
    changes.close()
  }
}

/** The pids of processes whose command line has this word. */
const running = (word: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word)
    } catch {
      return false
    }
  })

test('checks that are asked for more often than every five seconds are so from the start', async () => {
  const id = start('prompt', 'true', '--health-interval', '100ms', '--health-start-period', '1h')
  expect(JSON.parse(engine.must('inspect', '-f', '{{json .Config.Healthcheck}}', 'prompt')).StartInterval).toBe(1e8)
  await until(id, () => health('prompt').Status === 'healthy')
  engine.must('rm', '-f', 'prompt')
})

test('a container is starting, healthy, unhealthy and healthy again, and lists say so', async () => {
  const id = start(
    'turns',
    'cat /tmp/well',
    '--health-interval',
    '100ms',
    '--health-retries',
    '2',
    '--health-start-period',
    '1s',
    '--health-start-interval',
    '1h',
  )
  expect(engine.must('ps', '--format', '{{.Status}}')).toMatch(/\(health: starting\)$/)
  expect(engine.must('ps', '-q', '--no-trunc', '--filter', 'health=starting')).toBe(id)
  expect(engine.must('ps', '-q', '--filter', 'health=none')).toBe('')
  engine.must('rm', '--force', 'turns')

  const other = start('turns', 'cat /tmp/well', '--health-interval', '100ms', '--health-retries', '2')
  await until(other, () => health('turns').Status === 'unhealthy')
  const sick = health('turns')
  expect(sick.FailingStreak).toBeGreaterThanOrEqual(2)
  expect(sick.Log[0].ExitCode).toBe(1)
  expect(sick.Log[0].Output).toContain("can't open '/tmp/well'")
  engine.must('exec', 'turns', 'sh', '-c', 'echo fine >/tmp/well')
  await until(other, () => health('turns').Status === 'healthy')
  expect(health('turns').Log.pop()).toMatchObject({ ExitCode: 0, Output: 'fine\n' })
  expect(health('turns').FailingStreak).toBe(0)
  expect(engine.must('ps', '--format', '{{.Status}}')).toMatch(/^Up .* \(healthy\)$/)
  expect(engine.must('ps', '-q', '--no-trunc', '--filter', 'health=healthy')).toBe(other)
  engine.must('stop', '-t', '0', 'turns')
  expect(health('turns').Status).toBe('unhealthy')
  engine.must('rm', 'turns')
})

test('a check that takes too long is killed, and says so', async () => {
  const id = start(
    'slow',
    'echo begun; sleep 54321',
    '--health-interval',
    '50ms',
    '--health-timeout',
    '300ms',
    '--health-retries',
    '1',
  )
  await until(id, () => health('slow').Status === 'unhealthy')
  expect(health('slow').Log[0]).toMatchObject({
    ExitCode: -1,
    Output: 'Health check exceeded timeout (300ms): begun\n',
  })
  engine.must('rm', '--force', 'slow')
  expect(running('54321')).toEqual([])
})

test('of what a check prints 4096 bytes are kept, and one that cannot be run is a failure', async () => {
  const id = start('loud', 'seq 1 100000', '--health-interval', '50ms')
  await until(id, () => health('loud').Log.length > 0)
  expect(health('loud').Log[0]).toMatchObject({ ExitCode: 0 })
  expect(health('loud').Log[0].Output).toMatch(/^1\n2\n[\s\S]*\.\.\.$/)
  expect(health('loud').Log[0].Output.length).toBe(4099)
  engine.must('exec', 'loud', 'rm', '/bin/sh')
  await until(id, () => health('loud').Log.some(({ ExitCode }: { readonly ExitCode: number }) => ExitCode === -1))
  expect(health('loud').Log.pop().Output).toContain('/bin/sh')
  engine.must('rm', '--force', 'loud')
})

test('a check that is killed leaves no process, and the next one comes', async () => {
  const shared = join(engine.directory, 'shared')
  mkdirSync(shared)
  const seen = watch(shared)
  const begun = new Promise((resolve) => seen.once('change', resolve))
  const script = 'if [ -e /shared/begun ]; then exit 0; fi; echo >/shared/begun; exec sleep 65432'
  const id = start('killed', script, '--health-interval', '50ms', '-v', `${shared}:/shared`)
  await begun
  seen.close()
  const checkers = running('--health').filter((pid) => running(id).includes(pid))
  // The monitor has the word too, and the id.
  const [checker = '0'] = checkers.filter(
    (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1] === '--health',
  )
  process.kill(Number(checker), 'SIGKILL')
  await until(id, () => health('killed').Status === 'healthy')
  expect(running('65432')).toEqual([])
  engine.must('rm', '--force', 'killed')
})

test('who is paused is not checked', async () => {
  const id = start('paused', 'true', '--health-interval', '50ms')
  await until(id, () => health('paused').Log.length > 0)
  engine.must('pause', 'paused')
  const file = join(directoryOf(id), 'health')
  writeFileSync(file, JSON.stringify({ status: 'starting', failingStreak: 7, log: [] }))
  expect(health('paused').Status).toBe('unhealthy')
  engine.must('unpause', 'paused')
  await until(id, () => health('paused').Log.length > 0)
  expect(health('paused').FailingStreak).toBe(0)
  engine.must('rm', '--force', 'paused')
})

test('a restart begins anew, and without a check there is no word of health', async () => {
  const id = start('again', 'false', '--health-interval', '50ms', '--health-retries', '1')
  await until(id, () => health('again').Status === 'unhealthy')
  engine.must('stop', '-t', '0', 'again')
  const record = JSON.parse(readFileSync(join(directoryOf(id), 'container.json'), 'utf8'))
  record.health.intervalNanos = 3600e9
  writeFileSync(join(directoryOf(id), 'container.json'), JSON.stringify(record))
  engine.must('start', 'again')
  expect(health('again')).toMatchObject({ Status: 'starting', FailingStreak: 0 })
  engine.must('rm', '--force', 'again')
  engine.must('run', '-d', '--network', 'none', '--name', 'plain', 'busybox', 'sleep', '1000')
  expect(engine.must('inspect', '--format', '{{json .State.Health}}', 'plain')).toBe('null')
  engine.must('rm', '--force', 'plain')
})
