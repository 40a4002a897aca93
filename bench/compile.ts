/** Builds the C programs of the benchmark. */

import { join } from 'node:path'

const NATIVE = join(import.meta.dir, '..', 'native')

/** A static program with a C library; musl where it is there, as for coffer itself. */
export function compile(source: string, program: string): void {
  const compiler = Bun.which('musl-gcc') ?? 'cc'
  build([compiler, '-static', '-O2', '-std=gnu17', '-Wall', '-Wextra', '-Werror', '-o', program, source])
}

/** A program without a C library, built as the executor is. */
export function compileFreestanding(source: string, program: string): void {
  const flags =
    '-Os -std=gnu17 -ffreestanding -nostdlib -static -fno-pie -no-pie -fno-stack-protector -Wl,-z,noseparate-code -s'
  build(['cc', ...flags.split(' '), `-I${NATIVE}`, '-o', program, source])
}

function build(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`${command.join(' ')}\n${stderr.toString()}`)
}
