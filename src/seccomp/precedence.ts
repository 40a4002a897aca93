/**
 * Which of several rules for one call is tried first.
 *
 * The order is that of libseccomp (src/db.c `_db_chain_lt`, `_db_tree_add`), because profiles are written against it: the more specific
 * rule comes first, wherever it stands in the profile.
 */

import { pathOf, refuse } from '../base/place.ts'
import { type Condition, compareHalves, holdsAlways, isSame, looksAlikeAtHighHalf, narrow } from './conditions.ts'
import type { ConditionalRule } from './rules.ts'

/** What an architecture makes of the rules for one call. */
export interface ResolvedRules {
  /** The first rule that holds always; all others are without effect then. */
  readonly always: ConditionalRule | undefined
  /** In the order in which they are tried. */
  readonly rules: readonly ConditionalRule[]
}

/**
 * Brings the rules of one call, given in the order of the profile, into that in which they are tried, and drops those that a wider and
 * earlier one covers.
 *
 * Throws `invalid` where libseccomp refuses a rule (EEXIST): two rules have the same conditions and different actions, or a rule is wider
 * than an earlier one and has another action.
 */
export function resolveRules(rules: readonly ConditionalRule[], whole: boolean): ResolvedRules {
  const root: Branch[] = []
  for (const rule of rules) {
    const seen = whole ? rule.conditions : rule.conditions.map(narrow)
    const conditions = seen.filter((condition) => !holdsAlways(condition))
    if (conditions.length === 0) return { always: rule, rules: [] }
    addToTree(root, conditions, rule)
  }
  const ordered: ConditionalRule[] = []
  flatten(root, [], ordered)
  return { always: undefined, rules: ordered }
}

/** A node of the tree of conditions: all rules that begin with the conditions from the root to here. */
interface Branch {
  readonly condition: Condition
  /** The condition that came first of those that look at the high half alike; they stand together. */
  readonly leader: Condition
  rule: ConditionalRule | undefined
  branches: Branch[]
}

function addToTree(root: Branch[], conditions: readonly Condition[], rule: ConditionalRule): void {
  let level = root
  let branch: Branch | undefined
  for (const condition of conditions) {
    branch = branchOf(level, condition)
    // A wider rule came before.
    if (branch.rule !== undefined && condition !== conditions[conditions.length - 1]) return
    level = branch.branches
  }
  if (branch === undefined) return
  checkAgreement(branch, rule)
  branch.rule ??= rule
  branch.branches = []
}

/** The branch with this condition, or a new one in its place: after all that are tried first, and after those that are equally specific. */
function branchOf(level: Branch[], condition: Condition): Branch {
  const known = level.find((branch) => isSame(branch.condition, condition))
  if (known !== undefined) return known
  // Both sides of one comparison are tried at once.
  const opposite: Condition = { ...condition, negated: !condition.negated }
  const other = level.findIndex((branch) => isSame(branch.condition, opposite))
  if (other >= 0) return insert(level, other + 1, { condition, leader: (level[other] as Branch).leader })
  let place = level.findIndex(({ leader }) => looksAlikeAtHighHalf(leader, condition))
  const leader = level[place]?.leader ?? condition
  if (leader === condition) {
    place = level.findIndex((branch) => compareHalves(branch.leader, condition, 'high') > 0)
  } else {
    while (level[place]?.leader === leader && compareHalves((level[place] as Branch).condition, condition, 'low') <= 0)
      place++
  }
  return insert(level, place < 0 ? level.length : place, { condition, leader })
}

function insert(level: Branch[], place: number, conditions: Pick<Branch, 'condition' | 'leader'>): Branch {
  const branch: Branch = { ...conditions, rule: undefined, branches: [] }
  level.splice(place, 0, branch)
  return branch
}

function checkAgreement({ rule, branches }: Branch, added: ConditionalRule): void {
  if (rule !== undefined && rule.verdict !== added.verdict) {
    refuse(
      added.place,
      `contradicts ${pathOf(rule.place)}, which has another action for the same call and arguments`,
      'remove one of the two',
    )
  }
  for (const branch of branches) checkAgreement(branch, added)
}

function flatten(level: readonly Branch[], before: readonly Condition[], into: ConditionalRule[]): void {
  for (const { condition, rule, branches } of level) {
    const conditions = [...before, condition]
    if (rule !== undefined) into.push({ ...rule, conditions })
    flatten(branches, conditions, into)
  }
}
