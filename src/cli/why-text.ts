/** What `coffer why` answers, as JSON and as text. */

import type { CommandFailure } from '../container/last-failure.ts'
import type { MemoryEnd } from '../container/memory-end.ts'
import { memoryFacts } from '../engine/diagnosis.ts'
import type { SentSignal } from '../engine/sent.ts'
import { columns } from '../tools/help.ts'

export interface Answer {
  readonly subject:
    | { readonly kind: 'container'; readonly id: string; readonly name: string; readonly status: string }
    | { readonly kind: 'command'; readonly command: string; readonly container?: string }
  /** `Cause` of engine/diagnosis.ts, a status for what has not ended, or `failed` for a command. */
  readonly cause: string
  readonly summary: string
  readonly facts: readonly (readonly [string, string])[]
  readonly hint?: string
  readonly see: readonly string[]
  /** RFC 3339, UTC. */
  readonly at?: string
  readonly exitStatus?: number
  readonly signal?: string
  readonly sent?: SentSignal
  readonly memory?: MemoryEnd
  /** What coffer-runc could not do with the container. */
  readonly failed?: CommandFailure
  readonly error?: Partial<Pick<CommandFailure['error'], 'kind' | 'code' | 'syscall' | 'path' | 'step'>>
  /** The last lines of the log. */
  readonly printed: readonly string[]
}

/** `web (0123456789ab): …`, then what is known, what to do, where that is documented, and what it printed last. */
export function answerText(answer: Answer): string {
  const { summary, hint, see, printed } = answer
  const rows = rowsOf(answer)
  return [
    `${headOf(answer)}: ${summary}`,
    ...(rows.length === 0 ? [] : columns(rows)),
    ...(hint === undefined ? [] : [`hint:  ${hint}`]),
    ...(see.length === 0 ? [] : [`see:   ${see.join(', ')}`]),
    ...(printed.length === 0 ? [] : ['it printed last:', ...printed.map((line) => `  ${shown(line)}`)]),
    '',
  ].join('\n')
}

function headOf({ subject, exitStatus, at }: Answer): string {
  const name =
    subject.kind === 'command'
      ? `${subject.command}${subject.container === undefined ? '' : ` of ${subject.container}`} failed`
      : subject.id === subject.name
        ? subject.name
        : `${subject.name} (${subject.id.slice(0, 12)})`
  const status =
    exitStatus === undefined ? '' : `${subject.kind === 'command' ? '' : ' ended'} with status ${exitStatus}`
  return `${name}${status}${at === undefined ? '' : `, ${at}`}`
}

/** The status of a step that failed is shown as explain shows a step: the call first. */
function rowsOf({ facts, error, failed, memory, cause }: Answer): readonly (readonly [string, string])[] {
  const step = error?.step ?? failed?.error.step
  return [
    ...(step === undefined ? [] : ([['step', step]] as const)),
    ...(failed === undefined ? [] : ([[failed.command, failed.error.message]] as const)),
    ...facts,
    // Of what has not ended, nobody has made facts of it.
    ...(memory === undefined || facts.length > 0 || cause === 'out-of-memory' ? [] : memoryFacts(memory)),
  ]
}

/** What a container printed must not act on the terminal. */
const shown = (line: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced.
  line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '·').slice(0, 400)
