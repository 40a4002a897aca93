/** The executor's decoder under libFuzzer: builds test/fuzz/executor.c, and runs it from the frames of frames.ts. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seedFrames } from './frames.ts'

export interface FuzzRun {
  readonly executions: number
  readonly crashes: number
  /** What the program printed; the frame of a crash is in it. */
  readonly output: string
}

const SANITIZERS = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all']
const LARGEST_FRAME = 98_304

/** Throws if there is no clang, or it does not compile. The same seed gives the same frames. */
export function fuzzExecutor(executions: number, { seed }: { readonly seed: number }): FuzzRun {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-fuzz-'))
  try {
    const program = join(directory, 'executor')
    run(['clang', '-g', '-O2', '-std=gnu17', ...SANITIZERS, '-o', program, join(import.meta.dir, 'executor.c')])
    const corpus = join(directory, 'corpus')
    mkdirSync(corpus)
    seedFrames().forEach((frame, index) => {
      writeFileSync(join(corpus, `seed-${index}`), frame)
    })
    const limits = [`-runs=${executions}`, `-seed=${seed}`, `-max_len=${LARGEST_FRAME}`, '-timeout=20']
    const { exitCode, stderr } = Bun.spawnSync([program, ...limits, '-print_final_stats=1', corpus], {
      cwd: directory,
      env: { ASAN_OPTIONS: 'quarantine_size_mb=8:detect_leaks=0', PATH: process.env.PATH ?? '' },
    })
    const output = stderr.toString()
    const done = /stat::number_of_executed_units:\s+(\d+)/.exec(output)?.[1]
    return { executions: Number(done ?? 0), crashes: exitCode === 0 ? 0 : 1, output }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function run(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command])
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}
