/**
 * A plan as JSON, for programs. The shape is part of coffer's interface: fields are added, but not changed or removed, while `version` is 1.
 *
 * Raw arguments are complete, so a plan can be made again from its JSON:
 *
 * | argument                       | in JSON                                                        |
 * |--------------------------------|----------------------------------------------------------------|
 * | number up to 2^53, text        | itself                                                         |
 * | larger number                  | `{ "bigint": "18446744073709551615" }`                         |
 * | bytes                          | `{ "bytes": "00ff…" }`, hexadecimal                            |
 * | result of an earlier step      | `{ "slot": "root" }`                                           |
 * | text with such results         | `{ "text": ["/proc/", { "slot": "init-pid" }, "/uid_map"] }`   |
 * | the length of a string         | `{ "sizeOf": "…" }`                                            |
 * | the length of such a text      | `{ "lengthOf": { "text": … } }`                                |
 * | what the call fills in         | `{ "buffer": "answer", "sizeBytes": 64 }`                      |
 * | a structure                    | `{ "struct": "00…", "fields": [{ "offset", "sizeBytes", "value" }] }` |
 * | argv, envp                     | `{ "strings": [ … ] }`                                         |
 */

import { sizeBytesOf } from '../linux/bytes.ts'
import type { Argument } from '../linux/call.ts'
import { argumentTexts, callText, type ShowOptions } from '../linux/signatures-show.ts'
import { hex } from '../linux/signatures-values.ts'
import type { Check, Keep, Plan, Ref, Step } from '../plan/plan.ts'
import { type Node, nodesOf } from './outline.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export interface ExplainedPlan {
  readonly version: 1
  readonly operation: string
  readonly steps: readonly ExplainedStep[]
  /** What another executor runs before it: the plan of the network of a container. */
  readonly before?: ExplainedPlan
  /** The slots and buffers that the report brings back. */
  readonly returns: readonly string[]
  readonly reads: readonly Json[]
}

export interface ExplainedStep {
  /** In the order of reading, from 1; the number that explainText shows. Null in undo lists. */
  readonly number: number | null
  /** The index by which the executor reports the step: in `--run` traces and in bug reports. */
  readonly index: number
  readonly call: ExplainedCall
  readonly why: string
  readonly see: readonly Ref[]
  readonly into: string | null
  readonly tolerate: readonly string[]
  readonly retry: readonly string[]
  readonly check: Json
  readonly keep: readonly Json[]
  readonly child: readonly ExplainedStep[]
  readonly then: readonly ExplainedStep[]
  readonly otherwise: readonly ExplainedStep[]
  readonly undo: readonly ExplainedStep[]
}

export interface ExplainedCall {
  readonly name: string
  /** As explainText shows it. */
  readonly text: string
  readonly args: readonly ExplainedArgument[]
}

export interface ExplainedArgument {
  readonly name: string
  readonly kind: string
  /** Complete, e.g. `O_RDONLY|O_CLOEXEC`. */
  readonly text: string
  readonly raw: Json
}

/** The plan as a value for JSON.stringify. */
export function explainJson(plan: Plan, options: ShowOptions = {}): ExplainedPlan {
  return {
    version: 1,
    operation: plan.operation,
    steps: nodesOf(plan).map((node) => explainNode(node, options)),
    returns: (plan.returns ?? []).map(({ slot }) => slot),
    reads: (plan.reads ?? []).map(({ buffer, sizeBytes }) => ({ buffer, sizeBytes })),
  }
}

function explainNode({ entry, child, then, otherwise, undo }: Node, options: ShowOptions): ExplainedStep {
  const { step, number, index } = entry
  const list = (nodes: readonly Node[]): readonly ExplainedStep[] => nodes.map((node) => explainNode(node, options))
  return {
    number: number ?? null,
    index,
    call: explainCall(step, options),
    why: step.why,
    see: step.see,
    into: step.into?.slot ?? null,
    tolerate: step.tolerate ?? [],
    retry: step.retry ?? [],
    check: step.check === undefined ? null : checkJson(step.check),
    keep: (step.keep ?? []).map(keepJson),
    child: list(child),
    then: list(then),
    otherwise: list(otherwise),
    undo: list(undo),
  }
}

function explainCall({ call }: Step, options: ShowOptions): ExplainedCall {
  const shown = argumentTexts(call, options)
  const args = call.args.map((value, index) => {
    const { name = '', kind = '', text = '' } = shown[index] ?? {}
    return { name, kind, text, raw: argumentJson(value) }
  })
  return { name: call.name, text: callText(call, options), args }
}

function argumentJson(value: Argument): Json {
  if (typeof value === 'number' || typeof value === 'string') return value
  if (typeof value === 'bigint') return { bigint: String(value) }
  if (value instanceof Uint8Array) return { bytes: hex(value) }
  if ('slot' in value) return { slot: value.slot }
  if ('lengthOf' in value) return { lengthOf: argumentJson(value.lengthOf) }
  if ('sizeOf' in value) return { sizeOf: value.sizeOf }
  if ('buffer' in value) return { buffer: value.buffer, sizeBytes: value.sizeBytes }
  if ('text' in value) return { text: value.text.map(argumentJson) }
  if ('strings' in value) return { strings: value.strings.map(argumentJson) }
  return {
    struct: hex(value.struct),
    fields: value.fields.map(({ offset, sizeBytes, value }) => ({ offset, sizeBytes, value: argumentJson(value) })),
  }
}

function checkJson(check: Check): Json {
  if ('result' in check) return { ...check, result: sizeBytesOf(check.result) }
  if (!('in' in check)) return { ...check }
  return { ...check, in: argumentJson(check.in) }
}

const keepJson = ({ slot, in: buffer, offset, sizeBytes }: Keep): Json => ({
  slot: slot.slot,
  in: argumentJson(buffer),
  offset,
  sizeBytes,
})
