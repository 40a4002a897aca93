/**
 * What to do about a system call that failed: the tables of hints-….ts, looked up when something has failed and never before.
 *
 * A hint is an action, and it is only given when it is known to be right: where an errno has several causes, the facts of the machine have
 * to decide between them, or the hint names what all of them need.
 */

import type { Call } from '../linux/call.ts'
import { callText } from '../linux/signatures-show.ts'
import { cgroupRules, controllerRules } from './hints-cgroup.ts'
import { fileSystemRules, mountRules } from './hints-mounts.ts'
import { namespaceRules, userNamespaceRules } from './hints-namespaces.ts'
import { generalRules, limitRules, programRules } from './hints-process.ts'
import type { HintFacts, Rule } from './hints-rule.ts'
import { cgroupToolRules, enterRules, pivotRules, unshareRules } from './hints-tools.ts'
import type { Ref } from './plan.ts'

export interface FailedCall {
  readonly call: Call
  /** The name, e.g. `EPERM`. */
  readonly errno: string
  readonly why: string
  /** What the descriptor is open on, where the caller knows it. */
  readonly path?: string | undefined
  readonly facts: HintFacts
}

export interface Hint {
  readonly hint: string
  readonly see: readonly Ref[]
}

/** The hint of the first rule that fits. */
export function hintFor(failed: FailedCall): Hint | undefined {
  const rule = ruleFor(failed)
  if (rule === undefined) return undefined
  const hint = typeof rule.hint === 'string' ? rule.hint : rule.hint(failed.facts, failed.call)
  return { hint, see: rule.see }
}

/** The first rule of hintRules that fits. */
export function ruleFor({ call, errno, why, path, facts }: FailedCall): Rule | undefined {
  // Slots are named after what they hold, `cgroup.subtree_control` for one, so the text of a call tells which file it is about.
  const subject = `${callText(call, { isComplete: true })} ${path ?? ''} ${why}`
  return hintRules().find(
    (one) =>
      one.calls.split(' ').some((name) => name === call.name || name === '*') &&
      one.errnos.split(' ').includes(errno) &&
      (one.about === undefined || one.about.test(subject)) &&
      (one.when === undefined || one.when(facts)),
  )
}

const cache = { rules: undefined as readonly Rule[] | undefined }

/** In the order in which they are tried; made when the first is asked for. */
export function hintRules(): readonly Rule[] {
  cache.rules ??= [
    ...pivotRules(),
    ...enterRules(),
    ...unshareRules(),
    ...cgroupToolRules(),
    ...userNamespaceRules(),
    ...namespaceRules(),
    ...cgroupRules(),
    ...controllerRules(),
    ...mountRules(),
    ...fileSystemRules(),
    ...programRules(),
    ...limitRules(),
    ...generalRules(),
  ]
  return cache.rules
}
