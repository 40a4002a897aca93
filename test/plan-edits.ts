/** Mutations of plans as functions from plan to plan. One that finds nothing to change is an error: it would show nothing. */

import type { Argument, Call } from '../src/linux/call.ts'
import { callText } from '../src/linux/signatures-show.ts'
import type { Plan, Step } from '../src/plan/plan.ts'

export type Edit = (plan: Plan) => Plan

/** A step by a part of its `why`, or by a pattern for it or for its call as explain shows it. */
export type Match = string | RegExp

export const matches = (step: Step, match: Match): boolean =>
  typeof match === 'string' ? step.why.includes(match) : match.test(step.why) || match.test(callText(step.call))

const isCall = (step: Step, name: string | undefined): boolean => name === undefined || step.call.name === name

type Change = (step: Step) => readonly Step[]

/** Applies a change to every step, those of branches, children and undo lists among them. */
function changeSteps(steps: readonly Step[], change: Change): readonly Step[] {
  const inner = (list: readonly Step[] | undefined, name: 'then' | 'otherwise' | 'child' | 'undo') =>
    list === undefined ? {} : { [name]: changeSteps(list, change) }
  return steps.flatMap((step) =>
    change({
      ...step,
      ...inner(step.then, 'then'),
      ...inner(step.otherwise, 'otherwise'),
      ...inner(step.child, 'child'),
      ...inner(step.undo, 'undo'),
    }),
  )
}

/** `only` is the name of the system call, where `why` is shared by several. */
export function edit(match: Match, change: Change, only?: string): Edit {
  return (plan) => {
    let count = 0
    const steps = changeSteps(plan.steps, (step) => {
      if (!matches(step, match) || !isCall(step, only)) return [step]
      count++
      return change(step)
    })
    if (count === 0) throw new Error(`no step matches ${match}`)
    return { ...plan, steps }
  }
}

export const drop = (match: Match, only?: string): Edit => edit(match, () => [], only)

/** The step stays, and what it is checked for does not matter. */
export const dropCheck = (match: Match, only?: string): Edit =>
  edit(match, ({ check: _, ...step }) => [step as Step], only)

export const dropUndo = (match: Match, only?: string): Edit =>
  edit(match, ({ undo: _, ...step }) => [step as Step], only)

export const dropThen = (match: Match, only?: string): Edit =>
  edit(match, ({ then: _, ...step }) => [step as Step], only)

/** The step is still made, but as another call. */
export const editCall = (match: Match, change: (call: Call) => Call, only?: string): Edit =>
  edit(match, (step) => [{ ...step, call: change(step.call) }], only)

/** One argument, by its place. */
export const setArgument = (match: Match, index: number, value: (old: Argument) => Argument, only?: string): Edit =>
  editCall(match, (call) => ({ ...call, args: call.args.map((old, at) => (at === index ? value(old) : old)) }), only)

/** Takes bits out of a flags argument, or puts some in; throws if it is no number. */
export const changeFlags = (
  match: Match,
  index: number,
  { take = 0, give = 0 }: { readonly take?: number; readonly give?: number },
  only?: string,
): Edit =>
  setArgument(
    match,
    index,
    (old) => {
      if (typeof old !== 'number') throw new Error(`argument ${index} is no number`)
      return Number((BigInt(old) & ~BigInt(take)) | BigInt(give))
    },
    only,
  )

/** A 64-bit number inside a structure. */
export const setField = (match: Match, index: number, at: number, change: (old: bigint) => bigint): Edit =>
  setArgument(match, index, (old) => {
    if (typeof old !== 'object' || !('struct' in old)) {
      if (!(old instanceof Uint8Array)) throw new Error(`argument ${index} is no structure`)
      return changed(old, at, change)
    }
    return { ...old, struct: changed(old.struct, at, change) }
  })

function changed(bytes: Uint8Array, at: number, change: (old: bigint) => bigint): Uint8Array {
  const copy = new Uint8Array(bytes)
  const view = new DataView(copy.buffer)
  view.setBigUint64(at, change(view.getBigUint64(at, true)), true)
  return copy
}

/** Takes a step out and puts it in front of, or behind, another one of the same list. */
export function move(match: Match, where: 'before' | 'behind', other: Match): Edit {
  return (plan) => {
    const moved: Step[] = []
    const without = changeSteps(plan.steps, (step) => {
      if (!matches(step, match)) return [step]
      moved.push(step)
      return []
    })
    let isPlaced = false
    const steps = changeSteps(without, (step) => {
      if (isPlaced || !matches(step, other)) return [step]
      isPlaced = true
      return where === 'before' ? [...moved, step] : [step, ...moved]
    })
    if (moved.length === 0 || !isPlaced) throw new Error(`no step matches ${moved.length === 0 ? match : other}`)
    return { ...plan, steps }
  }
}

export const all =
  (...edits: readonly Edit[]): Edit =>
  (plan) =>
    edits.reduce((changed, one) => one(changed), plan)
