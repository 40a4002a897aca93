/** Instructions for intervals and comparisons, the last one first (assembler.ts). */

import {
  BPF_ALU_AND_K,
  BPF_JMP_JEQ_K,
  BPF_JMP_JGE_K,
  BPF_JMP_JGT_K,
  SECCOMP_DATA_ARCH,
  SECCOMP_DATA_ARGS,
  SECCOMP_DATA_NR,
} from '../linux/bpf.ts'
import { type Assembly, prependJump, prependLoad, prependOperation, returning, type Target } from './assembler.ts'
import type { Condition } from './conditions.ts'
import type { Intervals } from './intervals.ts'
import type { ConditionalRule } from './rules.ts'
import type { Block } from './tables.ts'

/** The search for the number of the call; `blocks` has a target for each block. */
export function prependSearch(assembly: Assembly, intervals: Intervals, blocks: readonly Target[]): Target {
  const { starts } = intervals
  const targets = intervals.outcomes.map((outcome) =>
    outcome < 0 ? (blocks[-1 - outcome] as Target) : returning(outcome),
  )
  // One number between two intervals of the same outcome takes one comparison, if the three stay together.
  const isLone = (at: number): boolean =>
    targets[at - 1] === targets[at + 1] && starts[at + 1] === (starts[at] as number) + 1
  const search = (first: number, last: number): Target => {
    if (first === last) return targets[first] as Target
    if (last === first + 2 && isLone(first + 1)) {
      const [no, yes] = [targets[first] as Target, targets[first + 1] as Target]
      return prependJump(assembly, BPF_JMP_JEQ_K, starts[first + 1] as number, { yes, no })
    }
    let middle = (first + last + 1) >> 1
    if (middle < last && isLone(middle - 1)) middle++
    else if (middle > first + 1 && isLone(middle)) middle--
    const yes = search(middle, last)
    const no = search(first, middle - 1)
    return prependJump(assembly, BPF_JMP_JGE_K, starts[middle] as number, { yes, no })
  }
  const found = search(0, starts.length - 1)
  return starts.length === 1 ? found : prependLoad(assembly, SECCOMP_DATA_NR, found)
}

/** The choice of the search by architecture, which begins the filter. */
export function prependDispatch(
  assembly: Assembly,
  architectures: readonly { readonly auditArch: number; readonly target: Target }[],
  otherwise: Target,
): void {
  let next = otherwise
  for (let index = architectures.length - 1; index >= 0; index--) {
    const { auditArch, target } = architectures[index] as (typeof architectures)[number]
    next = prependJump(assembly, BPF_JMP_JEQ_K, auditArch, { yes: target, no: next })
  }
  prependLoad(assembly, SECCOMP_DATA_ARCH, next)
}

/** Rules for one number: the first that holds decides, `otherwise` if none does. */
export function prependBlock(
  assembly: Assembly,
  { rules, whole }: Block,
  { otherwise, bigEndian }: { readonly otherwise: Target; readonly bigEndian: boolean },
): Target {
  const shape: Shape = { whole, bigEndian }
  let next = otherwise
  for (let last = rules.length - 1; last >= 0; ) {
    const first = firstOfEquals(rules, last, whole)
    if (first < last) next = prependEquals(assembly, rules.slice(first, last + 1), shape, next)
    else next = prependRule(assembly, rules[last] as ConditionalRule, shape, next)
    last = first - 1
  }
  return next
}

interface Shape {
  readonly whole: boolean
  readonly bigEndian: boolean
}

interface Targets {
  readonly yes: Target
  readonly no: Target
}

function prependRule(assembly: Assembly, { conditions, verdict }: ConditionalRule, shape: Shape, no: Target): Target {
  let yes = returning(verdict)
  for (let index = conditions.length - 1; index >= 0; index--) {
    yes = prependCondition(assembly, conditions[index] as Condition, shape, { yes, no })
  }
  return yes
}

function prependCondition(assembly: Assembly, condition: Condition, shape: Shape, targets: Targets): Target {
  const { yes, no } = condition.negated ? { yes: targets.no, no: targets.yes } : targets
  switch (condition.comparison) {
    case 'equal':
      return prependEqual(assembly, condition, shape, { yes, no })
    case 'maskedEqual':
      return prependMasked(assembly, condition, shape, { yes, no })
    case 'greater':
      return prependOrder(assembly, condition, shape, { yes, no, code: BPF_JMP_JGT_K })
    case 'greaterOrEqual':
      return prependOrder(assembly, condition, shape, { yes, no, code: BPF_JMP_JGE_K })
  }
}

function prependEqual(assembly: Assembly, condition: Condition, shape: Shape, { yes, no }: Targets): Target {
  const low = prependHalf(
    assembly,
    { code: BPF_JMP_JEQ_K, k: condition.low, offset: lowOffset(condition, shape) },
    { yes, no },
  )
  if (!shape.whole) return low
  const offset = highOffset(condition, shape)
  return prependHalf(assembly, { code: BPF_JMP_JEQ_K, k: condition.high, offset }, { yes: low, no })
}

/** The high half decides unless it is equal; only then the low one is looked at. */
function prependOrder(
  assembly: Assembly,
  condition: Condition,
  shape: Shape,
  { yes, no, code }: Targets & { readonly code: number },
): Target {
  const low = prependHalf(assembly, { code, k: condition.low, offset: lowOffset(condition, shape) }, { yes, no })
  if (!shape.whole) return low
  const equal = prependJump(assembly, BPF_JMP_JEQ_K, condition.high, { yes: low, no })
  const offset = highOffset(condition, shape)
  return prependHalf(assembly, { code: BPF_JMP_JGT_K, k: condition.high, offset }, { yes, no: equal })
}

function prependMasked(assembly: Assembly, condition: Condition, shape: Shape, { yes, no }: Targets): Target {
  let next = yes
  const { low, high, maskLow, maskHigh } = condition
  if (maskLow !== 0) {
    const offset = lowOffset(condition, shape)
    next = prependHalf(assembly, { code: BPF_JMP_JEQ_K, k: low, offset, mask: maskLow }, { yes: next, no })
  }
  if (!shape.whole || maskHigh === 0) return next
  const offset = highOffset(condition, shape)
  return prependHalf(assembly, { code: BPF_JMP_JEQ_K, k: high, offset, mask: maskHigh }, { yes: next, no })
}

function prependHalf(
  assembly: Assembly,
  {
    code,
    k,
    offset,
    mask = ALL_BITS,
  }: { readonly code: number; readonly k: number; readonly offset: number; readonly mask?: number },
  targets: Targets,
): Target {
  const jump = prependJump(assembly, code, k, targets)
  return prependLoad(assembly, offset, mask === ALL_BITS ? jump : prependOperation(assembly, BPF_ALU_AND_K, mask, jump))
}

const ALL_BITS = 0xffff_ffff

/** Neighbouring rules that each compare the same argument with one value, of which the high halves are equal, load it only once. */
function prependEquals(assembly: Assembly, rules: readonly ConditionalRule[], shape: Shape, no: Target): Target {
  let next = no
  for (let index = rules.length - 1; index >= 0; index--) {
    const { verdict, conditions } = rules[index] as ConditionalRule
    next = prependJump(assembly, BPF_JMP_JEQ_K, (conditions[0] as Condition).low, { yes: returning(verdict), no: next })
  }
  const condition = rules[0]?.conditions[0] as Condition
  const low = prependLoad(assembly, lowOffset(condition, shape), next)
  if (!shape.whole) return low
  return prependHalf(
    assembly,
    { code: BPF_JMP_JEQ_K, k: condition.high, offset: highOffset(condition, shape) },
    { yes: low, no },
  )
}

function firstOfEquals(rules: readonly ConditionalRule[], last: number, whole: boolean): number {
  const condition = onlyEqual(rules[last])
  if (condition === undefined) return last
  let first = last
  for (; first > 0; first--) {
    const before = onlyEqual(rules[first - 1])
    if (before?.argument !== condition.argument || (whole && before.high !== condition.high)) break
  }
  return first
}

function onlyEqual(rule: ConditionalRule | undefined): Condition | undefined {
  const condition = rule?.conditions.length === 1 ? rule.conditions[0] : undefined
  return condition?.comparison === 'equal' && !condition.negated ? condition : undefined
}

function lowOffset({ argument }: Condition, { bigEndian }: Shape): number {
  return SECCOMP_DATA_ARGS + argument * 8 + (bigEndian ? 4 : 0)
}

function highOffset({ argument }: Condition, { bigEndian }: Shape): number {
  return SECCOMP_DATA_ARGS + argument * 8 + (bigEndian ? 0 : 4)
}
