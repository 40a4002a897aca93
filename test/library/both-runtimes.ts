/** Makes a test of each case for each runtime. A program runs all cases of a module, and each test looks at its line. */

import { describe, expect, test } from 'bun:test'
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
      let reports: Promise<ReadonlyMap<string, CaseReport>> | undefined
      for (const name of Object.keys(cases)) {
        test(name, async () => {
          reports ??= runAll([...through, binOf(runtime), join(directory, 'run-cases.ts'), path], {
            ...env,
            ...envOf?.(runtime),
          })
          const report = (await reports).get(name)
          expect(report === undefined ? 'the program ended before this case' : (report.error ?? 'passed')).toBe(
            'passed',
          )
        })
      }
    })
  }
}

async function runAll(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, CaseReport>> {
  const child = Bun.spawn([...command], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
    env: { ...process.env, ...env },
  })
  const lines = (await new Response(child.stdout).text()).split('\n').filter((line) => line.startsWith('{'))
  await child.exited
  return new Map(lines.map((line) => JSON.parse(line) as CaseReport).map((report) => [report.name, report]))
}
