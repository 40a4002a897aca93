/** Commands of an engine under the tracer: test/programs/inject.c */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Point } from '../crash/injection.ts'
import { injector } from '../kernel/programs.ts'
import type { Ran, TestEngine } from './engine.ts'

const logOf = ({ directory }: TestEngine): string => join(directory, 'calls')

/** Runs a command with these words to the tracer. */
export async function through(engine: TestEngine, words: readonly string[], command: readonly string[]): Promise<Ran> {
  const child = engine.spawnThrough([injector(), logOf(engine), ...words, '--'], ...command)
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map((one) => new Response(one).text()))
  return { status: await child.exited, stdout: stdout ?? '', stderr: stderr ?? '' }
}

/** The calls of a command that succeeds, and of the processes of its plans. */
export async function callsOf(engine: TestEngine, command: readonly string[]): Promise<readonly Point[]> {
  const { status, stderr } = await through(engine, ['list'], command)
  if (status !== 0) throw new Error(`coffer ${command.join(' ')} ended with ${status}: ${stderr}`)
  return logLines(engine)
    .map((line) => line.split(' '))
    .map(([role = '', index, call]) => ({ role, index: Number(index), call: Number(call) }))
}

/** Answers whether the call was met, before which the command is killed. */
export async function killedAt(
  engine: TestEngine,
  { role, index }: Point,
  command: readonly string[],
): Promise<boolean> {
  await through(engine, ['at', role, `${index}`, 'kill=0'], command)
  return logLines(engine).some((line) => line.startsWith('hit '))
}

const logLines = (engine: TestEngine): readonly string[] => readFileSync(logOf(engine), 'utf8').trimEnd().split('\n')
