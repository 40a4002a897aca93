/** Filters for random profiles: judged call by call as libseccomp's, and a part of them by the kernel. */

import { auditArch } from '../../src/seccomp/architectures.ts'
import { compileSeccomp } from '../../src/seccomp/compile.ts'
import { native } from '../libseccomp.ts'
import { COMPARISONS, type Kind, randomCalls, unconditionalProfiles } from '../seccomp-comparisons.ts'
import { architecture, type Call, expected, openProbe } from '../seccomp-probe.ts'
import { newRandom } from './random.ts'

export interface VerdictsRun {
  readonly verdicts: number
  readonly faults: readonly string[]
}

/** Of these kinds no profile is known that libseccomp gets wrong; seccomp-comparisons.ts has the others. */
const KINDS: readonly Kind[] = ['unconditional', 'equalities', 'lowerBounds']

/** At least so many verdicts of both filters, in the interpreter. */
export function compareVerdicts(count: number, firstSeed: number): VerdictsRun {
  const faults: string[] = []
  let verdicts = 0
  for (let seed = firstSeed; verdicts < count; seed++)
    for (const kind of KINDS) {
      const run = COMPARISONS[kind](newRandom(seed))
      verdicts += run.verdicts
      for (const difference of run.differences)
        faults.push(`${kind}, seed ${seed}: ${JSON.stringify(difference, inHex)}`)
    }
  return { verdicts, faults }
}

/** At least so many verdicts of the kernel and of the interpreter. Only calls that a filter does not let through are made. */
export function compareWithKernel(count: number, seed: number): VerdictsRun {
  const random = newRandom(seed)
  const faults: string[] = []
  let verdicts = 0
  using probe = openProbe()
  for (const profile of unconditionalProfiles(random)) {
    if (verdicts >= count) break
    const compiled = compileSeccomp(profile, { nativeArchitecture: native })
    const calls = randomCalls(random, profile, 200)
      .filter(({ arch, nr }) => arch === auditArch(architecture) && nr < 0x8000_0000)
      .map(({ nr, args }): Call => ({ kind: 'native', nr, args }))
      .filter((call) => expected(compiled, call) !== undefined)
      .slice(0, 20)
    if (calls.length === 0) continue
    for (const [index, outcome] of probe.outcomes(compiled, calls).entries()) {
      verdicts++
      const call = calls[index] as Call
      if (outcome !== expected(compiled, call))
        faults.push(`the kernel says ${outcome}: ${JSON.stringify({ profile, call }, inHex)}`)
    }
  }
  return { verdicts, faults }
}

const inHex = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value)
