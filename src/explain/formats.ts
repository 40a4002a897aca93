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
  { name: 'format', type: 'string', value: FORMATS.join('|'), help: 'how to show the plan; svg needs --run' },
  { name: 'json', type: 'bool', help: 'short for --format json' },
  { name: 'undo', type: 'bool', help: 'with the steps that take back what a step made' },
  { name: 'run', type: 'bool', help: 'run it, and show the result and the microseconds of each step' },
]

export interface Explained {
  readonly plan: Plan
  /** What another executor runs before it. */
  readonly before?: Plan | undefined
  readonly architecture: Architecture
  /** With `run`: what each step did. */
  readonly trace?: readonly TraceEntry[]
}

/** The plan as `given` asks for, by FORMAT_FLAGS. Throws `invalid` for a format that there is not. `tool` is whose flags they are. */
export function formatted(given: Parsed, { plan, before, architecture, trace }: Explained, tool: string): string {
  const format = formatOf(given, tool)
  const show = { undo: given.bool('undo'), architecture }
  if (trace !== undefined) {
    if (format === 'svg') return explainTimeline(plan, trace, show)
    if (format === 'json') return jsonText({ plan: explainJson(plan, show), trace })
    return explainRun(plan, trace, show)
  }
  switch (format) {
    case 'text':
      return before === undefined
        ? explainText(plan, show)
        : [before, plan].map((one) => `${one.operation}\n\n${explainText(one, show)}`).join('\n')
    case 'tree':
      return [...(before === undefined ? [] : [before]), plan].map((one) => explainTree(one, show)).join('\n')
    case 'json':
      return jsonText({
        ...explainJson(plan, show),
        ...(before === undefined ? {} : { before: explainJson(before, show) }),
      })
    case 'script':
      return [...(before === undefined ? [] : [before]), plan].map((one) => explainScript(one, show)).join('\n')
    case 'svg':
      throw refusal('svg', tool)
  }
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

/** Before anything runs. */
export function formatOf(given: Parsed, tool: string): (typeof FORMATS)[number] {
  const word = given.bool('json') ? 'json' : (given.string('format') ?? 'text')
  const format = FORMATS.find((one) => one === word)
  if (format === undefined || (format === 'svg' && !given.bool('run'))) throw refusal(word, tool)
  return format
}

const refusal = (word: string, tool: string): Error =>
  usage(tool, `--format is "${word}"`, `use ${FORMATS.join(', ')}; svg with --run`)
