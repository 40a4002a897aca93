/** What the executor answers, as numbers, → results and errors. The one place where a kernel failure becomes an OperationError. */

import { bug, OperationError } from '../base/errors.ts'
import type { Argument, Buffer, Slot } from '../linux/call.ts'
import { errnoName } from '../linux/errno.ts'
import { callText } from '../linux/signatures-show.ts'
import { kindOf } from '../linux/system-error.ts'
import { failureText } from '../plan/hook-endings.ts'
import type { AwaitedProgram, Step } from '../plan/plan.ts'
import { HOST_PROC } from '../plan/slots.ts'
import type { Assembled } from './assemble.ts'

export interface Failure {
  readonly step: number
  readonly errno: number
  readonly result: number
  readonly pid: number
  readonly undoing: boolean
}

export interface TraceEntry {
  readonly step: number
  readonly pid: number
  readonly result: number
  readonly beginNs: number
  readonly endNs: number
}

export interface Report {
  readonly id: number
  /** `lost`: its process was killed. */
  readonly kind: 'progress' | 'done' | 'failed' | 'refused' | 'lost'
  readonly failures: readonly Failure[]
  readonly slot: (slot: Slot) => number
  readonly bytes: (buffer: Buffer) => Uint8Array
  readonly trace: readonly TraceEntry[]
}

export const REPORT_HEADER_BYTES = 32
const FAILURE_BYTES = 24
const TRACE_BYTES = 32
const KINDS = [undefined, 'progress', 'done', 'failed', 'refused', 'lost'] as const

/** The total size of the report that begins with these bytes. */
export const reportBytes = (head: Uint8Array): number => new DataView(head.buffer, head.byteOffset).getUint32(0, true)

/** `frame` is one whole report: struct report of native/wire.h. Throws `bug` for one whose parts are not as long as it says. */
export function parseReport(frame: Uint8Array, assembled: Pick<Assembled, 'slots' | 'reads'>): Report {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.length < REPORT_HEADER_BYTES) throw bug(`the executor sent a report of ${frame.length} bytes`)
  const word = (index: number): number => view.getUint32(index * 4, true)
  const kind = KINDS[word(2)]
  if (kind === undefined) throw bug(`the executor sent a report of kind ${word(2)}`)
  // One that was refused has an errno there.
  const failureCount = kind === 'refused' ? 0 : word(3)
  const failuresAt = REPORT_HEADER_BYTES
  const slotsAt = failuresAt + failureCount * FAILURE_BYTES
  const traceAt = slotsAt + word(4) * 8
  const readsAt = traceAt + word(6) * TRACE_BYTES
  if (readsAt + word(5) > frame.length)
    throw bug(`the executor sent a report of ${frame.length} bytes that says it has ${readsAt + word(5)}`)
  return {
    id: word(1),
    kind,
    failures: rows(failureCount, (index) => failureAt(view, failuresAt + index * FAILURE_BYTES)),
    slot: ({ slot }) => {
      const index = assembled.slots.get(slot)
      if (index === undefined) throw bug(`asked for the slot ${slot}, which the plan has not`)
      if (index >= word(4)) throw bug(`the executor sent a report of ${word(4)} slots, without ${slot}`)
      return int64(view, slotsAt + index * 8)
    },
    bytes: (wanted) => {
      let at = readsAt
      for (const read of assembled.reads) {
        if (read.buffer === wanted.buffer) return frame.slice(at, at + read.sizeBytes)
        at += read.sizeBytes
      }
      throw bug(`asked for the bytes ${wanted.buffer}, which the plan does not read`)
    },
    trace: rows(word(6), (index) => traceEntryAt(view, traceAt + index * TRACE_BYTES)),
  }
}

const rows = <Row>(count: number, row: (index: number) => Row): readonly Row[] =>
  Array.from({ length: count }, (_, index) => row(index))

const int64 = (view: DataView, at: number): number =>
  view.getInt32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true)

const failureAt = (view: DataView, at: number): Failure => ({
  step: view.getUint32(at, true),
  errno: view.getUint32(at + 4, true),
  result: int64(view, at + 8),
  pid: view.getUint32(at + 16, true),
  undoing: view.getUint32(at + 20, true) !== 0,
})

const traceEntryAt = (view: DataView, at: number): TraceEntry => ({
  step: view.getUint32(at, true),
  pid: view.getUint32(at + 4, true),
  result: int64(view, at + 8),
  beginNs: int64(view, at + 16),
  endNs: int64(view, at + 24),
})

/** Advice for a failed step, where there is any: plan/hints.ts. */
export type Advise = (
  step: Step,
  errno: string,
) => { readonly hint: string; readonly see?: readonly string[] } | undefined

/**
 * The error of a report that is not `done`.
 *
 * The first failure is the cause: a child reports before it ends, and only then does its parent notice that it is gone.
 */
export function errorOf(report: Report, steps: Assembled['steps'], advise?: Advise): OperationError {
  if (report.kind === 'lost') return lost()
  if (report.kind === 'refused') return bug('the executor refused the plan as malformed')
  const first = report.failures.find(({ undoing }) => !undoing)
  const step = first === undefined ? undefined : steps[first.step]
  if (first === undefined || step === undefined) return bug('the executor failed without saying where')
  const before = steps.slice(0, steps.indexOf(step)).filter((other): other is Step => other !== undefined)
  return stepError(step, errnoName(first.errno), { before, advise, bytes: report.bytes })
}

export interface FailedPlan {
  /** The steps that came earlier, for what a descriptor is open on. */
  readonly before: readonly Step[]
  readonly advise: Advise | undefined
  readonly bytes: Report['bytes']
}

/** The error of a step that failed with the errno of this name. */
export function stepError(step: Step, code: string, { before, advise, bytes }: FailedPlan): OperationError {
  const advice = advise?.(step, code)
  const path = pathOf(step, before)
  return new OperationError({
    kind: kindOf(code),
    operation: step.why,
    code,
    ...(step.program === undefined ? {} : { reason: reasonOf(step.program, code, bytes) }),
    syscall: `${step.call.name}(${path ?? ''})`,
    ...(path === undefined ? {} : { path }),
    step: callText(step.call),
    ...(advice === undefined ? {} : { hint: advice.hint }),
    see: [...new Set([...step.see, ...(advice?.see ?? [])])],
  })
}

const lost = (): OperationError =>
  new OperationError({
    kind: 'kernel',
    operation: 'run the plan',
    reason: 'its process ended before it answered: it was killed',
    hint: 'run it again; `delete --force` removes what is left of a container',
  })

const reasonOf = ({ ending, output }: AwaitedProgram, code: string, bytes: Report['bytes']): string =>
  failureText({ ending: bytes(ending), output: bytes(output) }, code)

/** The first argument that a person would recognise; what is written is none, so it is the file that it is written to. */
function pathOf({ call }: Step, before: readonly Step[]): string | undefined {
  const [fd] = call.args
  if (call.name === 'write') return typeof fd === 'object' && 'slot' in fd ? openedAs(fd, before) : undefined
  for (const argument of call.args) {
    const readable = readableText(argument)
    if (readable !== undefined && readable !== '') return readable
  }
  return undefined
}

function openedAs({ slot }: Slot, before: readonly Step[]): string | undefined {
  const opened = before.filter(({ into }) => into?.slot === slot).pop()?.call
  if (opened === undefined) return undefined
  const [from, path] = opened.args.slice(0, 2)
  const text = path === undefined ? undefined : readableText(path)
  return typeof from === 'object' && 'slot' in from && from.slot === HOST_PROC.slot ? `/proc/${text}` : text
}

function readableText(argument: Argument): string | undefined {
  if (typeof argument === 'string') return argument
  if (typeof argument !== 'object' || !('text' in argument)) return undefined
  return argument.text.map((piece) => (typeof piece === 'string' ? piece : `<${piece.slot}>`)).join('')
}
