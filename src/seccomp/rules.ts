/**
 * The rules of a profile, gathered by system call, before any architecture is looked at.
 *
 * A name is looked up once; its row serves the tables of all architectures (linux/syscalls.ts).
 */

import { fieldOf, itemOf, type Place, refuse } from '../base/place.ts'
import { SECCOMP_RET_USER_NOTIF } from '../linux/bpf.ts'
import { syscallRow, syscallRowCount } from '../linux/syscalls.ts'
import type { Seccomp, SeccompRule } from '../oci/seccomp.ts'
import { type Condition, conditionOf } from './conditions.ts'
import { verdictOf } from './verdicts.ts'

/** All verdicts and rules of a profile. Verdict 0 is that of calls without a rule. */
export interface Rules {
  /** Where the profile stands. */
  readonly place: Place
  /** The different values that the filter returns. */
  readonly verdicts: number[]
  /** By row: 0, or 1 + the verdict of the first rule without conditions. */
  readonly plain: Uint16Array
  /** By row: the place of that rule in the profile. */
  readonly plainOrder: Uint32Array
  /** By row: the rules with conditions. */
  readonly conditional: ReadonlyMap<number, readonly ConditionalRule[]>
  /** The rows of all names in the profile, even in a rule that makes no difference. */
  readonly mentioned: readonly number[]
  /** Names that Linux does not have on any architecture. */
  readonly unknownNames: readonly string[]
  readonly notifies: boolean
}

/** A rule that holds only if all its conditions do. */
export interface ConditionalRule {
  readonly verdict: number
  /** In ascending order of the arguments, each at most once. */
  readonly conditions: readonly Condition[]
  /** Its place in the profile. */
  readonly order: number
  readonly place: Place
}

interface Writable extends Rules {
  readonly conditional: Map<number, ConditionalRule[]>
  readonly mentioned: number[]
  /** By row: 1 if it is in `mentioned`. */
  readonly isMentioned: Uint8Array
  readonly unknownNames: string[]
  notifies: boolean
}

/**
 * Gathers the rules as runc does (libcontainer/seccomp `InitSeccomp`, `matchCall`):
 *
 * - a rule with the verdict of the default action is dropped, because libseccomp refuses it;
 * - a name that Linux does not have is left out and told in `unknownNames`;
 * - a rule that compares one argument twice becomes one rule for each of its comparisons, of which any may hold.
 *
 * Throws `invalid` for an errno that an action does not return, and for SCMP_ACT_NOTIFY where the agent could never be reached.
 */
export function gatherRules(seccomp: Seccomp, place: Place): Rules {
  const rows = syscallRowCount()
  const rules: Writable = {
    place,
    verdicts: [verdictOf(seccomp.defaultAction, seccomp.defaultErrnoRet, fieldOf(place, 'defaultErrnoRet'))],
    plain: new Uint16Array(rows),
    plainOrder: new Uint32Array(rows),
    conditional: new Map(),
    mentioned: [],
    isMentioned: new Uint8Array(rows),
    unknownNames: [],
    notifies: false,
  }
  if (seccomp.defaultAction === 'SCMP_ACT_NOTIFY') {
    refuse(
      fieldOf(place, 'defaultAction'),
      'is SCMP_ACT_NOTIFY, which would stop the container before it could send the listener',
    )
  }
  for (let order = 0; order < seccomp.syscalls.length; order++) {
    gatherRule(rules, seccomp.syscalls[order] as SeccompRule, order)
  }
  return rules
}

/** Where a rule stands that is the `order`th of the profile. */
export function placeOfRule({ place }: Pick<Rules, 'place'>, order: number): Place {
  return itemOf(fieldOf(place, 'syscalls'), order)
}

function gatherRule(rules: Writable, rule: SeccompRule, order: number): void {
  const place = placeOfRule(rules, order)
  const value = verdictOf(rule.action, rule.errnoRet, fieldOf(place, 'errnoRet'))
  if (value === SECCOMP_RET_USER_NOTIF) checkNotify(rules, rule, place)
  const verdict = verdictIndex(rules.verdicts, value)
  const alternatives = verdict === 0 ? [] : conditionalRules(rule, { verdict, order, place })
  const { names } = rule
  const { plain, plainOrder, mentioned, isMentioned } = rules
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string
    const row = syscallRow(name)
    if (row === undefined) {
      rules.unknownNames.push(name)
      continue
    }
    if (isMentioned[row] === 0) {
      isMentioned[row] = 1
      mentioned.push(row)
    }
    if (alternatives.length > 0) addConditional(rules, row, alternatives)
    else if (verdict !== 0 && plain[row] === 0) {
      plain[row] = 1 + verdict
      plainOrder[row] = order
    }
  }
}

function checkNotify(rules: Writable, { names }: SeccompRule, place: Place): void {
  rules.notifies = true
  const index = names.indexOf('write')
  if (index >= 0) {
    refuse(
      itemOf(fieldOf(place, 'names'), index),
      'is "write", which cannot have SCMP_ACT_NOTIFY: runtimes hand the listener over with it',
      'give write another action',
    )
  }
}

function verdictIndex(verdicts: number[], value: number): number {
  const index = verdicts.indexOf(value)
  return index >= 0 ? index : verdicts.push(value) - 1
}

function addConditional(rules: Writable, row: number, alternatives: readonly ConditionalRule[]): void {
  const list = rules.conditional.get(row)
  if (list === undefined) rules.conditional.set(row, [...alternatives])
  else list.push(...alternatives)
}

function conditionalRules(
  { args }: SeccompRule,
  rule: { readonly verdict: number; readonly order: number; readonly place: Place },
): readonly ConditionalRule[] {
  const conditions = args.map(conditionOf)
  const comparesTwice = new Set(args.map(({ index }) => index)).size < args.length
  if (comparesTwice) return conditions.map((condition) => ({ ...rule, conditions: [condition] }))
  conditions.sort((a, b) => a.argument - b.argument)
  return conditions.length === 0 ? [] : [{ ...rule, conditions }]
}
