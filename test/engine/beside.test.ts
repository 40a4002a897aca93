/** Commands that stay beside a container: what a signal does to them, and what they do with the files they were given. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ptyProgram } from '../kernel/in-terminal.ts'
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

  test.each([
    ['much at once', 'seq 100000; sleep 1000'],
    ['a little again and again', 'while sleep 0.05; do echo 1; done'],
  ])('is that nobody reads what it prints any more: %s', (_, program) => {
    const script = `"$0" run --name lasting busybox sh -c "$1" | head -n 1; echo \${PIPESTATUS[0]}`
    const words = ['bash', '-c', script, ...engine.command, program]
    const { stdout, stderr } = Bun.spawnSync(words, { env: engine.env })
    expect([stdout.toString(), stderr.toString(), isRunning()]).toEqual(['1\n141\n', '', 'true'])
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

describe('exec', () => {
  beforeAll(() => engine.must('run', '-d', '--name', 'host', 'busybox', 'sleep', '1000'))
  afterAll(() => engine.must('rm', '-f', 'host'))

  const path = (name: string): string => join(engine.directory, name)
  /** A line of sh. */
  const shell = (line: string): string => {
    const script = `coffer() { '${engine.command[0]}' "$@"; }; cd '${engine.directory}'; ${line}`
    const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-c', script], { env: engine.env })
    if (exitCode !== 0) throw new Error(`${line}: ${exitCode} ${stderr}`)
    return stdout.toString()
  }

  test('leaves the files of its caller to him, whoever the process is', () => {
    writeFileSync(path('in'), 'typed')
    chmodSync(path('in'), 0o600)
    shell('coffer exec -i -u guest host sh -c "cat /dev/stdin; echo , and >/dev/stdout; echo more" <in >out')
    expect(readFileSync(path('out'), 'utf8')).toBe('typed, and\nmore\n')
    expect([statSync(path('in')).uid, statSync(path('out')).uid]).toEqual([0, 0])
  })

  test('shows a process no terminal of its caller', () => {
    const command = [...engine.command, 'exec', '-i', 'host', 'sh', '-c', 'ls -l /proc/self/fd; test -t 1 || echo none']
    const { stdout } = Bun.spawnSync(['python3', '-c', ptyProgram(), ...command], { env: engine.env, stdin: 'ignore' })
    expect(stdout.toString()).toContain('none')
    expect(stdout.toString()).not.toContain('/dev/pts')
  })

  test('keeps the order of what goes to one file', () => {
    shell('coffer exec host sh -c "for i in $(seq -s " " 200); do echo \\$i; echo \\$i >&2; done" >both 2>&1')
    const lines = Array.from({ length: 200 }, (_, index) => `${index + 1}\n${index + 1}\n`)
    expect(readFileSync(path('both'), 'utf8')).toBe(lines.join(''))
  })

  test('passes much on in both directions at once, and nothing that is not read', () => {
    writeFileSync(path('much'), Buffer.alloc(3_000_000, 'much of it\n'))
    shell('coffer exec -i host cat <much >copy')
    expect(readFileSync(path('copy')).equals(readFileSync(path('much')))).toBe(true)
    // SIGPIPE is of coffer here, and not of the process.
    expect(shell('coffer exec -i host sh -c "exec <&-; trap \'echo told\' PIPE; sleep 0.1; echo alive" <much')).toBe(
      'alive\n',
    )
  })

  test('shows what is printed by those that its process left behind', () => {
    shell('coffer exec host sh -c "(sleep 0.1; echo late) & echo early" >out')
    expect(readFileSync(path('out'), 'utf8')).toBe('early\nlate\n')
  })
})

test('what is printed comes through a pipe that somebody made one that does not block', () => {
  const program = `
import os, subprocess, sys
ours, theirs = os.pipe()
os.set_blocking(theirs, False)
child = subprocess.Popen(sys.argv[1:], stderr=theirs)
os.close(theirs)
count = 0
while got := os.read(ours, 4096): count += len(got)
print(count, child.wait())
`
  const command = [...engine.command, 'run', '--rm', 'busybox', 'sh', '-c', 'seq 1 300000 >&2']
  const { stdout } = Bun.spawnSync(['python3', '-c', program, ...command], { env: engine.env })
  expect(stdout.toString()).toBe('1988895 0\n')
})
