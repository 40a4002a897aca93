/** Asks the kernel what it does with calls behind a filter: test/programs/seccomp-probe.c. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_DATA,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
} from '../src/linux/bpf.ts'
import type { Architecture } from '../src/linux/syscalls.ts'
import { auditArch } from '../src/seccomp/architectures.ts'
import type { CompiledSeccomp } from '../src/seccomp/compile.ts'
import { runFilter } from '../src/seccomp/interpret.ts'
import { cProgram } from './c-program.ts'

export const SIGSYS = 31
export const isX86: boolean = process.arch === 'x64'
export const architecture: Architecture = isX86 ? 'x86_64' : 'aarch64'

export interface Call {
  readonly kind: 'native' | 'x86'
  readonly nr: number
  readonly args?: readonly bigint[]
}

export interface Probe extends Disposable {
  /** What the kernel says of each call behind a filter. */
  readonly outcomes: (filter: Pick<CompiledSeccomp, 'filter' | 'flags'>, calls: readonly Call[]) => readonly string[]
}

export function openProbe(): Probe {
  const probe = cProgram('seccomp-probe')
  return {
    outcomes: ({ filter, flags }, calls) => {
      const path = join(probe.path, '..', 'filter')
      writeFileSync(path, filter)
      const lines = calls.map(({ kind, nr, args = [] }) => {
        const words = Array.from({ length: 6 }, (_, index) => (args[index] ?? 0n).toString(16))
        return `${kind} ${nr.toString(16)} ${words.join(' ')}\n`
      })
      const { exitCode, stdout } = Bun.spawnSync([probe.path, path, String(flags)], {
        stdin: Buffer.from(lines.join('')),
      })
      if (exitCode !== 0) throw new Error(`seccomp-probe exited with ${exitCode}`)
      return stdout.toString().trim().split('\n')
    },
    [Symbol.dispose]: () => probe[Symbol.dispose](),
  }
}

const WITHOUT_TRACER = 'result -38'

/** What the interpreter says; undefined where the call itself decides. */
export function expected({ filter }: CompiledSeccomp, { kind, nr, args = [] }: Call): string | undefined {
  const arch = auditArch(kind === 'x86' ? 'x86' : architecture)
  const seen = kind === 'x86' ? args.map((value) => value & 0xffff_ffffn) : args
  const { value } = runFilter(filter, { nr, arch, args: seen })
  const action = (value & SECCOMP_RET_ACTION_FULL) >>> 0
  if (action === SECCOMP_RET_ALLOW || action === SECCOMP_RET_LOG) return undefined
  if (action === SECCOMP_RET_TRACE) return WITHOUT_TRACER
  return action === SECCOMP_RET_ERRNO ? `result ${-(value & SECCOMP_RET_DATA)}` : `signal ${SIGSYS}`
}
