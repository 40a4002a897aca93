/** A command that is slow, and what others do meanwhile. It is held at its system calls: test/programs/inject.c */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { appendFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FLOCK, OPENAT, type Point, PPOLL, sample } from '../crash/injection.ts'
import { until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { busyboxArchive, openTestEngine, type Ran, type TestEngine } from './engine.ts'
import { callsOf as allCalls, through } from './held.ts'

const PROGRAM = join(import.meta.dir, '..', '..', 'dist', 'coffer')

setDefaultTimeout(120_000)

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

/** The calls that the command itself makes. */
const callsOf = async (...command: readonly string[]): Promise<readonly Point[]> =>
  (await allCalls(engine, command)).filter(({ role }) => role === '0')

/** At once if nobody is waited for, and else once the command that is held goes on. */
const whileHeld = async ({ role, index }: Point, others: string, ...command: readonly string[]): Promise<Ran> => {
  const status = join(engine.directory, 'status')
  rmSync(status, { force: true })
  const all = `( ${others}; echo $? >${status} ) >/dev/null 2>&1 </dev/null &`
  const look = `for turn in $(seq 50); do [ -s ${status} ] && break; sleep 0.03; done`
  const ran = await through(engine, ['at', role, `${index}`, `do=${all} ${look}`], command)
  until('the other commands', () => readText(status)?.endsWith('\n'))
  expect(readText(status)).toBe('0\n')
  return ran
}

test('a stop that has sent its signal lets be who is started meanwhile, and does not wait for its end', async () => {
  engine.must('run', '-d', '--name', 'deaf', '--network', 'none', 'busybox', 'sh', '-c', 'trap "" TERM; sleep 1000')
  const stop = ['stop', '--timeout', '1', 'deaf']
  const calls = await callsOf(...stop)
  const asked = calls.findIndex(({ call }) => call === PPOLL)
  // From there on it has the lock of the container.
  const locked = calls.findIndex(({ call }, index) => call === FLOCK && index > asked)
  expect(locked - asked).toBeGreaterThan(10)
  for (const point of sample(calls.slice(asked, locked), 8)) {
    engine.must('start', 'deaf')
    const again = `${PROGRAM} kill deaf; ${PROGRAM} wait deaf; ${PROGRAM} start deaf`
    const { status, stderr } = await whileHeld(point, again, ...stop)
    const is = engine.must('inspect', '-f', '{{.State.Status}}', 'deaf')
    expect({ point, status, stderr, is }).toEqual({ point, status: 0, stderr: '', is: 'running' })
    engine.must('kill', 'deaf')
    engine.must('wait', 'deaf')
  }
  engine.must('rm', 'deaf')
})

test('who reads events hears of each one once, wherever it is when their file is turned away', async () => {
  const file = join(engine.dataRoot, 'events')
  /** One line more makes it too large. */
  const grow = (): void => {
    rmSync(`${file}.1`, { force: true })
    writeFileSync(file, '')
    engine.must('tag', 'busybox', 'before')
    appendFileSync(file, `${' '.repeat(1023)}\n`.repeat(1025))
  }
  const format = '{{.Actor.Attributes.name}}'
  const read = ['events', '--since', '1970-01-01', '--until', '0s', '--format', format]
  grow()
  const calls = await callsOf(...read)
  const opens = calls.findIndex(({ call }) => call === OPENAT)
  expect(calls.length - opens).toBeGreaterThan(10)
  for (const point of sample(calls.slice(opens), 20)) {
    grow()
    const { status, stdout, stderr } = await whileHeld(
      point,
      `${PROGRAM} tag busybox turns && ${PROGRAM} tag busybox next`,
      ...read,
    )
    expect(existsSync(`${file}.1`)).toBe(true)
    const heard = stdout.split('\n').filter((line) => line === 'before:latest')
    expect({ point, status, stderr, heard }).toEqual({ point, status: 0, stderr: '', heard: ['before:latest'] })
  }
})

test('ps lists what stays, and says nothing of what goes while it looks at it', async () => {
  // Beside one that is in a network with names there is a name server, with a file of its own.
  engine.must('network', 'create', 'named')
  const run = (name: string): string =>
    engine.must('run', '-d', '--name', name, '--network', 'named', 'busybox', 'sleep', '1000')
  run('stays')
  run('goes')
  const list = ['ps', '--all', '--filter', 'name=^(stays|goes)$', '--format', '{{.Names}}']
  const opens = (await callsOf(...list)).filter(({ call }) => call === OPENAT)
  expect(opens.length).toBeGreaterThan(20)
  for (const point of opens) {
    const { status, stdout, stderr } = await whileHeld(point, `${PROGRAM} rm -f goes`, ...list)
    const others = stdout.replace(/^goes\n/m, '')
    expect({ point, status, stderr, others }).toEqual({ point, status: 0, stderr: '', others: 'stays\n' })
    run('goes')
  }
  engine.must('rm', '-f', 'stays', 'goes')
})
