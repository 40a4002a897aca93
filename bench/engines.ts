/** The engines that programs with the library run in. */

import { join } from 'node:path'

export const ENGINES: Readonly<Record<string, string>> = {
  Bun: process.execPath,
  Node: join(import.meta.dir, '..', 'node_modules', '.bin', 'node'),
}

export interface EngineProgram {
  /** The path of the engine. */
  readonly engine: string
  /** A file of this folder. */
  readonly file: string
  readonly settings: object
  readonly signal: AbortSignal
}

/** Runs a program of this folder that takes settings and prints a result, both as JSON. */
export async function runInEngine<Result>({ engine, file, settings, signal }: EngineProgram): Promise<Result> {
  const command = [engine, join(import.meta.dir, file), JSON.stringify(settings)]
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit', signal })
  const output = await child.stdout.text()
  signal.throwIfAborted()
  if ((await child.exited) !== 0) throw new Error(`${file} broke`)
  return JSON.parse(output) as Result
}
