/** A command that is slow, and what others do meanwhile. It is held at its system calls: test/programs/inject.c */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FLOCK, type Point, PPOLL, sample } from '../crash/injection.ts'
import { injector } from '../kernel/programs.ts'
import { busyboxArchive, openTestEngine, type Ran, type TestEngine } from './engine.ts'

const PROGRAM = join(import.meta.dir, '..', '..', 'dist', 'coffer')

setDefaultTimeout(120_000)

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const log = (): string => join(engine.directory, 'calls')

async function through(words: readonly string[], command: readonly string[]): Promise<Ran> {
  const child = engine.spawnThrough([injector(), log(), ...words, '--'], ...command)
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map((one) => new Response(one).text()))
  return { status: await child.exited, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** The calls that the command itself makes. */
async function callsOf(...command: readonly string[]): Promise<readonly Point[]> {
  const { status, stderr } = await through(['list'], command)
  expect([status, stderr]).toEqual([0, ''])
  const points = readFileSync(log(), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '))
  return points
    .map(([role = '', index, call]) => ({ role, index: Number(index), call: Number(call) }))
    .filter(({ role }) => role === '0')
}

const whileHeld = ({ role, index }: Point, others: string, ...command: readonly string[]): Promise<Ran> =>
  through(['at', role, `${index}`, `do=${others}`], command)

test('a stop that has sent its signal lets be who is started meanwhile, and does not wait for its end', async () => {
  engine.must('run', '-d', '--name', 'deaf', '--network', 'none', 'busybox', 'sh', '-c', 'trap "" TERM; sleep 1000')
  const stop = ['stop', '--timeout', '1', 'deaf']
  const calls = await callsOf(...stop)
  const asked = calls.findIndex(({ call }) => call === PPOLL)
  // From there on it has the lock of the container, and nobody else starts it.
  const locked = calls.findIndex(({ call }, index) => call === FLOCK && index > asked)
  expect(locked - asked).toBeGreaterThan(10)
  for (const point of sample(calls.slice(asked, locked), 8)) {
    engine.must('start', 'deaf')
    const again = `( ${PROGRAM} kill deaf; ${PROGRAM} wait deaf; ${PROGRAM} start deaf ) >/dev/null 2>&1 </dev/null`
    const { status, stderr } = await whileHeld(point, again, ...stop)
    const is = engine.must('inspect', '-f', '{{.State.Status}}', 'deaf')
    expect({ point, status, stderr, is }).toEqual({ point, status: 0, stderr: '', is: 'running' })
    engine.must('kill', 'deaf')
    engine.must('wait', 'deaf')
  }
  engine.must('rm', 'deaf')
})
