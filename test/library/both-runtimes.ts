/** Makes a test of each case for each runtime. A program runs all cases of a module, and each test looks at its line. */

import { afterAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { CaseReport, Cases } from './cases.ts'

export const RUNTIMES = ['node', 'bun'] as const
const directory = import.meta.dir
export const binOf = (name: string): string => join(directory, '..', '..', 'node_modules', '.bin', name)

export interface CaseModule {
  readonly title: string
  readonly cases: Cases
  /** Absolute. */
  readonly path: string
  /** A command that the program is started through. */
  readonly through?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly envOf?: (runtime: string) => Readonly<Record<string, string>>
}

export function testInBothRuntimes({ title, cases, path, through = [], env = {}, envOf }: CaseModule): void {
  for (const runtime of RUNTIMES) {
    describe(`${title}, ${runtime}`, () => {
      const names = Object.keys(cases)
      let program: Program | undefined
      // It may use what the module of the test removes.
      afterAll(() => program?.exited)
      for (const name of names) {
        test(name, async () => {
          const command = [...through, binOf(runtime), join(directory, 'run-cases.ts'), path]
          program ??= runAll(names, command, { ...env, ...envOf?.(runtime) })
          const report = await program.told.get(name)
          expect(report === undefined ? 'the program ended before this case' : (report.error ?? 'passed')).toBe(
            'passed',
          )
        })
      }
    })
  }
}

/** Undefined: the program ended before that case. */
type Told = CaseReport | undefined

interface Program {
  readonly told: ReadonlyMap<string, Promise<Told>>
  readonly exited: Promise<unknown>
}

/** What is told of each case comes as it is told: the time that a test has is that of its case. */
function runAll(names: readonly string[], command: readonly string[], env: Readonly<Record<string, string>>): Program {
  const child = Bun.spawn([...command], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
    env: { ...process.env, ...env },
  })
  const told = new Map(names.map((name) => [name, Promise.withResolvers<Told>()]))
  const hear = async (): Promise<void> => {
    for await (const line of linesOf(child.stdout)) {
      if (!line.startsWith('{')) continue
      const report = JSON.parse(line) as CaseReport
      told.get(report.name)?.resolve(report)
    }
    for (const { resolve } of told.values()) resolve(undefined)
  }
  return {
    told: new Map([...told].map(([name, { promise }]) => [name, promise])),
    exited: Promise.all([hear(), child.exited]),
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}
