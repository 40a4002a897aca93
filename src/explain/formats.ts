/** The forms in which doors show a plan, and the flags that choose one: for coffer explain and coffer-runc explain. */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import type { Architecture } from '../linux/numbers.ts'
import type { Plan } from '../plan/plan.ts'
import { explainJson } from './json.ts'
import { explainRun, type TraceEntry } from './run.ts'
import { explainScript } from './script.ts'
import { explainText } from './text.ts'
import { explainTimeline } from './timeline.ts'
import { explainTree } from './tree.ts'

const FORMATS = ['text', 'tree', 'json', 'script', 'svg'] as const

export const FORMAT_FLAGS: readonly Flag[] = [
  {
    name: 'format',
    type: 'string',
    value: FORMATS.join('|'),
    help: 'how to show the plan: text, tree, json or script; with --run text, json or svg',
  },
  { name: 'json', type: 'bool', help: 'short for --format json' },
  { name: 'undo', type: 'bool', help: 'with the steps that take back what a step made' },
  { name: 'run', type: 'bool', help: 'run it, and show the result and the microseconds of each step' },
]

export interface ShownPlan {
  readonly plan: Plan
  /** With `run`: what each step did. */
  readonly trace?: readonly TraceEntry[] | undefined
}

export interface Explained extends ShownPlan {
  /** What another executor runs before it. */
  readonly before?: ShownPlan | undefined
  readonly architecture: Architecture
}

/** The plan as `given` asks for, by FORMAT_FLAGS. Throws `invalid` for a format that there is not. `tool` is whose flags they are. */
export function formatted(given: Parsed, { before, architecture, ...last }: Explained, tool: string): string {
  const format = formatOf(given, tool)
  const show = { undo: given.bool('undo'), architecture }
  const all = before === undefined ? [last] : [before, last]
  const each = (text: (one: ShownPlan) => string): string => all.map(text).join('\n')
  switch (format) {
    case 'text':
      return each((one) => {
        const text = one.trace === undefined ? explainText(one.plan, show) : explainRun(one.plan, one.trace, show)
        return all.length === 1 ? text : `${one.plan.operation}\n\n${text}`
      })
    case 'json': {
      const json = ({ plan, trace }: ShownPlan): object =>
        trace === undefined ? explainJson(plan, show) : { plan: explainJson(plan, show), trace }
      return jsonText({ ...json(last), ...(before === undefined ? {} : { before: json(before) }) })
    }
    case 'tree':
      return each(({ plan }) => explainTree(plan, show))
    case 'script':
      return each(({ plan }) => explainScript(plan, show))
    case 'svg':
      return explainTimeline(
        all.map(({ plan, trace = [] }) => ({ plan, trace })),
        show,
      )
  }
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

/** Before anything runs. */
export function formatOf(given: Parsed, tool: string): (typeof FORMATS)[number] {
  const word = given.bool('json') ? 'json' : (given.string('format') ?? 'text')
  const format = FORMATS.find((one) => one === word)
  const fits = given.bool('run') ? format !== 'tree' && format !== 'script' : format !== 'svg'
  if (format === undefined || !fits)
    throw usage(tool, `--format is "${word}"`, 'use text, tree, json or script; with --run text, json or svg')
  return format
}
