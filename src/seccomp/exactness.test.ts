import { test } from 'bun:test'
import { SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO } from '../linux/bpf.ts'
import { SECCOMP_OPERATORS, type SeccompArgument, type SeccompOperator, type SeccompRule } from '../oci/seccomp.ts'
import { compileSeccomp } from './compile.ts'
import { runFilter } from './interpret.ts'

/** What a rule says, without any cleverness. */
function holds({ index, op, value, valueTwo }: SeccompArgument, args: readonly bigint[]): boolean {
  const actual = args[index] as bigint
  const wanted = BigInt(value)
  switch (op) {
    case 'SCMP_CMP_EQ':
      return actual === wanted
    case 'SCMP_CMP_NE':
      return actual !== wanted
    case 'SCMP_CMP_LT':
      return actual < wanted
    case 'SCMP_CMP_LE':
      return actual <= wanted
    case 'SCMP_CMP_GE':
      return actual >= wanted
    case 'SCMP_CMP_GT':
      return actual > wanted
    case 'SCMP_CMP_MASKED_EQ':
      return (actual & wanted) === (BigInt(valueTwo) & wanted)
  }
}

const edges = [0n, 1n, 7n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 0x7_0000_0001n, 2n ** 63n, 2n ** 64n - 1n]

test('500,000 calls have the verdict that the rules say (S85)', () => {
  let state = 12345
  const below = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const edge = (): bigint => edges[below(edges.length)] as bigint
  const operator = (): SeccompOperator => SECCOMP_OPERATORS[below(SECCOMP_OPERATORS.length)] as SeccompOperator
  const rule = (): SeccompRule => ({
    names: ['clone'],
    action: 'SCMP_ACT_ALLOW',
    args: [0, 1, 2, 5]
      .filter(() => below(2) === 0)
      .map((index) => ({ index, op: operator(), value: edge(), valueTwo: edge() })),
  })
  for (let round = 0; round < 1000; round++) {
    const syscalls = Array.from({ length: 1 + below(8) }, rule)
    const { filter } = compileSeccomp(
      { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], syscalls },
      { nativeArchitecture: 'SCMP_ARCH_X86_64' },
    )
    for (let call = 0; call < 500; call++) {
      const args = Array.from({ length: 6 }, () => BigInt.asUintN(64, edge() + BigInt(below(3) - 1)))
      const allowed = syscalls.some((candidate) => candidate.args.every((argument) => holds(argument, args)))
      const { value } = runFilter(filter, { nr: 56, arch: 0xc000_003e, args })
      if (value !== (allowed ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | 1))
        throw new Error(JSON.stringify({ syscalls, args }, inHex))
    }
  }
}, 120_000)

const inHex = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value)
