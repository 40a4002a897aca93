/** Builds the C programs that tests need beside them, test/programs/NAME.c. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface CProgram extends Disposable {
  readonly path: string
}

export const sourceOf = (name: string): string => join(import.meta.dir, 'programs', `${name}.c`)

/** Compiles test/programs/NAME.c; `options` are for the compiler, e.g. `-lseccomp`. Its directory goes when it is disposed of. */
export function cProgram(name: string, options: readonly string[] = []): CProgram {
  const directory = mkdtempSync(join(tmpdir(), `coffer-${name}-`))
  const path = join(directory, name)
  const { exitCode, stderr } = Bun.spawnSync([
    'cc',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    path,
    sourceOf(name),
    ...options,
  ])
  if (exitCode !== 0) {
    rmSync(directory, { recursive: true })
    throw new Error(stderr.toString())
  }
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) }
}
