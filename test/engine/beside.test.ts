/** Commands that stay beside a container: what a signal does to them, and what they do with the files they were given. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

describe('a signal that is not passed on', () => {
  const TALKS = ['busybox', 'sh', '-c', 'echo begun; sleep 1000']
  const isRunning = (): string => engine.must('inspect', '--format', '{{.State.Running}}', 'lasting')

  test.each([
    ['that was told not to pass any on', ['--sig-proxy=false']],
    ['that shows a terminal', ['-t']],
  ])('ends a run %s, and the container goes on', async (_, flags) => {
    const running = engine.spawn('run', '--name', 'lasting', ...flags, ...TALKS)
    await running.stdout.getReader().read()
    running.kill('SIGTERM')
    await running.exited
    expect([running.signalCode, isRunning()]).toEqual(['SIGTERM', 'true'])
    engine.must('rm', '-f', 'lasting')
  })

  test('ends a wait', async () => {
    engine.must('run', '-d', '--name', 'lasting', ...TALKS)
    const before = sockets()
    const waiting = engine.spawn('wait', 'lasting')
    while (sockets() === before) await Bun.sleep(1)
    waiting.kill('SIGINT')
    await waiting.exited
    expect([waiting.signalCode, isRunning()]).toEqual(['SIGINT', 'true'])
    engine.must('rm', '-f', 'lasting')
  })
})

/** Connections to monitors, both ends. */
const sockets = (): number => readFileSync('/proc/net/unix', 'utf8').split(`${engine.runRoot}/.attach/`).length
