/**
 * Frames of commands, of which many are alike but for some words: names, paths of fifos, arguments.
 *
 * To plan and assemble a container takes 2.5 to 3 ms, to fill in a frame that was assembled before 0.1 ms: executor/template.ts.
 */

import { assemble } from '../executor/assemble.ts'
import { encode } from '../executor/persistent-node.ts'
import { type Frame, framesOf } from '../executor/template.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Plan } from '../plan/plan.ts'

export interface Wish {
  /** Tells apart what differs in more than the words; undefined for what is not wanted twice. */
  readonly key: string | undefined
  readonly words: readonly string[]
  /** Makes nothing of a word but texts with it in them. */
  readonly plan: (words: readonly string[]) => Plan
}

export type Frames = (wish: Wish) => Frame

/** Characters of Unicode's private use area stand for the words, as in container/prepare.ts; 6,400 there are. */
const FIRST_BLANK = 0xe000
const IS_BLANK = /[\ue000-\uf8ff]/
const MAX_WORDS = 256
const MAX_KEPT = 128

export function keepFrames(architecture: Architecture): Frames {
  const kept = new Map<string, (words: readonly string[]) => Frame>()
  const options = { architecture, encode }
  return ({ key, words, plan }) => {
    if (key === undefined || words.length > MAX_WORDS || [key, ...words].some((word) => IS_BLANK.test(word))) {
      const assembled = assemble(plan(words), options)
      return { ...assembled, steps: () => assembled.steps }
    }
    const known = kept.get(key) ?? framesOf({ blanks: words.map(blankAt), plan }, options)
    // The one that was used last stands last.
    kept.delete(key)
    kept.set(key, known)
    const [oldest] = kept.keys()
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest)
    return known(words)
  }
}

const blankAt = (_: string, index: number): string => String.fromCharCode(FIRST_BLANK + index)
