/** runc's way to a filter: libseccomp, asked by test/programs/libseccomp-export.c, and the stub that runc puts before its filter. */

import type { Architecture } from '../src/linux/syscalls.ts'
import { SECCOMP_OPERATORS, type Seccomp, type SeccompArchitecture, type SeccompArgument } from '../src/oci/seccomp.ts'
import { architectureOf, auditArch, byteOrder } from '../src/seccomp/architectures.ts'
import { runFilter, type SeccompCall } from '../src/seccomp/interpret.ts'
import { verdictOf } from '../src/seccomp/verdicts.ts'
import { cProgram } from './c-program.ts'

/** That of this machine, which every filter has. */
export const native: SeccompArchitecture = process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64'

/** What libseccomp made of a profile: a filter, or the errno for a rule. */
export type Reference = Taken | { readonly refused: number }

export interface Taken {
  readonly filter: Uint8Array
  /** For each architecture of the profile the highest number of its names. */
  readonly highest: readonly number[]
}

/** What libseccomp makes of these profiles. */
export function referencesOf(profiles: readonly Seccomp[]): readonly Reference[] {
  using exporter = cProgram('libseccomp-export', ['-lseccomp'])
  const input = profiles.map(describe).join('\n')
  const { exitCode, stdout } = Bun.spawnSync([exporter.path], { stdin: Buffer.from(input), timeout: 60_000 })
  if (exitCode !== 0) throw new Error(`libseccomp-export exited with ${exitCode}`)
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => {
      const [status, first = '', ...highest] = line.split(' ')
      if (status === 'refused') return { refused: Number(first) }
      return { filter: Uint8Array.from(Buffer.from(first, 'hex')), highest: highest.map(Number) }
    })
}

const hex = (value: number | bigint): string => value.toString(16)

/** libseccomp's token of an architecture: AUDIT_ARCH_*, but x32 has one of its own. */
export const tokenOf = (architecture: Architecture): number =>
  architecture === 'x32' ? 0x4000_003e : auditArch(architecture)

function describe({ defaultAction, defaultErrnoRet, architectures, syscalls }: Seccomp): string {
  const arches = architectures.map((name) => `arch ${hex(tokenOf(architectureOf(name)))}`)
  const rules = syscalls.flatMap(({ names, action, errnoRet, args }) => {
    const verdict = hex(verdictOf(action, errnoRet, ': '))
    // runc makes a rule of each comparison where two are of one argument.
    const twice = new Set(args.map(({ index }) => index)).size < args.length
    const alternatives = twice ? args.map((argument) => [argument]) : [args]
    return names.flatMap((name) =>
      alternatives.map((list) => `rule ${verdict} ${name} ${list.length} ${list.map(describeArgument).join(' ')}`),
    )
  })
  return `profile ${hex(verdictOf(defaultAction, defaultErrnoRet, ': '))} ${[...arches, ...rules].join('\n')} end`
}

function describeArgument({ index, op, value, valueTwo }: SeccompArgument): string {
  return `${index} ${SECCOMP_OPERATORS.indexOf(op) + 1} ${hex(value)} ${hex(valueTwo)}`
}

const ENOSYS = 0x0005_0026
const passing = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE']

/** What runc's filter returns for a call: its stub stands before libseccomp's filter (libcontainer/seccomp/patchbpf/enosys_linux.go). */
export function referenceVerdict(profile: Seccomp, reference: Taken, call: SeccompCall): number {
  if (!passing.includes(profile.defaultAction) && isNewer(profile, reference, call)) return ENOSYS
  return runFilter(reference.filter, call, byteOrder(architectureOf(native))).value
}

function isNewer({ architectures }: Seccomp, { highest }: Taken, { arch, nr }: SeccompCall): boolean {
  return architectures.map(architectureOf).some((architecture, index) => {
    const limit = (highest[index] as number) >>> 0
    if (auditArch(architecture) !== arch || limit === 0) return false
    const isX32 = (nr & 0x4000_0000) !== 0
    if (isX32 ? architecture === 'x86_64' : architecture === 'x32') return false
    return nr > limit
  })
}
