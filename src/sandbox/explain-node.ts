/** What run would do, for people and programs: the same plan, and nothing is run. */

import { explainJson } from '../explain/json.ts'
import { explainScript } from '../explain/script.ts'
import { explainText, type TextOptions } from '../explain/text.ts'
import { explainTree } from '../explain/tree.ts'
import type { Plan } from '../plan/plan.ts'
import { theMachine } from './machine-node.ts'
import { invalid, type RunOptions } from './options.ts'
import { planOf } from './run-node.ts'

/**
 * | format   | is                                                                              |
 * |----------|---------------------------------------------------------------------------------|
 * | `text`   | a table: each system call, why it is made, where that is documented             |
 * | `tree`   | the processes that are made, in which namespaces, and what each becomes         |
 * | `json`   | all of it, with a `version`; README.md and src/explain/json.ts describe it      |
 * | `script` | a bash script of unshare, mount and echo that does the same as far as these can |
 */
export type ExplainFormat = 'text' | 'tree' | 'json' | 'script'

export interface ExplainOptions {
  /** Default `text`. */
  readonly format?: ExplainFormat | undefined
  /** With the steps that take back what a step made. */
  readonly undo?: boolean | undefined
}

type Show = (plan: Plan, options: TextOptions) => string

const FORMATS: Readonly<Record<ExplainFormat, Show>> = {
  text: explainText,
  tree: explainTree,
  json: (plan, options) => `${JSON.stringify(explainJson(plan, options), undefined, 2)}\n`,
  script: explainScript,
}

/** Shows each system call that `run` would make for the same command and options. Nothing is run; rejects with `OperationError` as `run` does. */
export async function explain(command: readonly string[], options: RunOptions & ExplainOptions): Promise<string> {
  const { format = 'text', undo = false, ...asked } = options
  const show = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined
  if (show === undefined)
    throw invalid(`format is ${JSON.stringify(format)}`, `use one of: ${Object.keys(FORMATS).join(', ')}`)
  const plan = await planOf(command, asked)
  return show(plan, { undo, architecture: theMachine().host.architecture })
}
