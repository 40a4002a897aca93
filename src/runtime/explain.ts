/** explain: the system calls that a bundle becomes, before or while they are made. */

import { explainContainer, runExplained } from '../container/explain.ts'
import { FORMAT_FLAGS, formatOf, formatted } from '../explain/formats.ts'
import type { Command } from './context.ts'
import { BUNDLE_FLAGS, createRequest } from './create.ts'

const TOOL = 'coffer-runc explain'

export const explainCommand: Command = {
  name: 'explain',
  operands: '[CONTAINER]',
  summary: 'print the plan of a container: each system call, why it is made, and where that is documented',
  flags: [...BUNDLE_FLAGS, ...FORMAT_FLAGS],
  count: [0, 1],
  run: (context, given) => {
    formatOf(given, TOOL)
    const request = { ...createRequest(context, given), id: given.rest[0] ?? 'example' }
    if (given.bool('run')) {
      const ran = runExplained(context.machine, request)
      context.print(formatted(given, ran, TOOL))
      return ran.status
    }
    context.print(formatted(given, explainContainer(context.machine, request, 'wait'), TOOL))
    return 0
  },
}
