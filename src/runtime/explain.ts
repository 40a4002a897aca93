/** explain: the system calls that a bundle becomes, before or while they are made. */

import type { Flag } from '../base/flags.ts'
import { usage } from '../base/flags.ts'
import { explainContainer, runExplained } from '../container/explain.ts'
import { explainJson } from '../explain/json.ts'
import { explainRun } from '../explain/run.ts'
import { explainScript } from '../explain/script.ts'
import { explainText } from '../explain/text.ts'
import { explainTimeline } from '../explain/timeline.ts'
import { explainTree } from '../explain/tree.ts'
import type { Command } from './context.ts'
import { BUNDLE_FLAGS, createRequest } from './create.ts'

const FORMATS = ['text', 'tree', 'json', 'script', 'svg'] as const

const FLAGS: readonly Flag[] = [
  ...BUNDLE_FLAGS,
  { name: 'format', type: 'string', value: FORMATS.join('|'), help: 'how to show the plan; svg needs --run' },
  { name: 'json', type: 'bool', help: 'short for --format json' },
  { name: 'undo', type: 'bool', help: 'with the steps that take back what a step made' },
  { name: 'run', type: 'bool', help: 'run it, and show the result and the microseconds of each step' },
]

export const explainCommand: Command = {
  name: 'explain',
  operands: '[CONTAINER]',
  summary: 'print the plan of a container: each system call, why it is made, and where that is documented',
  flags: FLAGS,
  count: [0, 1],
  run: (context, given) => {
    const format = given.bool('json') ? 'json' : (given.string('format') ?? 'text')
    const request = { ...createRequest(context, given), id: given.rest[0] ?? 'example' }
    const wanted = { undo: given.bool('undo') }
    if (given.bool('run')) {
      const { architecture, plan, trace, status } = runExplained(context.machine, request)
      const show = { ...wanted, architecture }
      if (format === 'svg') context.print(explainTimeline(plan, trace, show))
      else if (format === 'json')
        context.print(`${JSON.stringify({ plan: explainJson(plan, show), trace }, undefined, 2)}\n`)
      else context.print(explainRun(plan, trace, show))
      return status
    }
    const { architecture, plan } = explainContainer(context.machine, request, 'wait')
    const show = { ...wanted, architecture }
    switch (format) {
      case 'text':
        context.print(explainText(plan, show))
        return 0
      case 'tree':
        context.print(explainTree(plan, show))
        return 0
      case 'json':
        context.print(`${JSON.stringify(explainJson(plan, show), undefined, 2)}\n`)
        return 0
      case 'script':
        context.print(explainScript(plan, show))
        return 0
      default:
        throw usage('coffer-runc explain', `--format is "${format}"`, `use ${FORMATS.join(', ')}; svg with --run`)
    }
  },
}
