/** Makes programs of the embedded engine from the sources of coffer. */

import { join } from 'node:path'
import { type Program, program } from './embedded.ts'

const root = join(import.meta.dir, '..')

/** A program whose main function is `body`, JavaScript; what the `modules` (paths from the root of the tree) export is in `coffer_`. */
export function programOf(modules: readonly string[], body: string): Program {
  const source = modules.map((path) => `export * from './${path}'`).join('\n')
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [
      join(root, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`),
      '--bundle',
      '--format=iife',
      '--global-name=coffer_',
      '--target=es2020',
      '--platform=neutral',
      '--log-level=warning',
    ],
    { cwd: root, stdin: Buffer.from(source), stdout: 'pipe', stderr: 'pipe' },
  )
  if (exitCode !== 0) throw new Error(stderr.toString())
  return program(body, stdout.toString())
}
