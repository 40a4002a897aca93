/** A plan in the order in which a person reads it: each step, then the lists that it owns. All other files here start from this. */

import type { Plan, Step } from '../plan/plan.ts'

export type Role = 'child' | 'then' | 'otherwise' | 'undo'

export interface Entry {
  readonly step: Step
  /** From 1, in the order of reading. Steps of undo lists have none: most of them never run. */
  readonly number: number | undefined
  /** The index by which the executor reports the step. */
  readonly index: number
  /** How many lists the step is in, beside that of the plan. */
  readonly depth: number
  /** Whose list the step is in, and which of them; undefined for the list of the plan. */
  readonly owner: Step | undefined
  readonly role: Role | undefined
  /** True for the first step of a list. */
  readonly isFirst: boolean
  /** The process that makes the call: 0 is the executor, others count from 1 in the order of reading. */
  readonly process: number
}

/** An entry with the lists of its step. One step may stand in several places of a plan, but each entry stands in one. */
export interface Node {
  readonly entry: Entry
  readonly child: readonly Node[]
  readonly then: readonly Node[]
  readonly otherwise: readonly Node[]
  readonly undo: readonly Node[]
}

/** All steps. Undo steps are there, too; leave out those whose `number` is undefined if they are not wanted. */
export const outline = (plan: Plan): readonly Entry[] => nodesOf(plan).flatMap(flattened)

const flattened = ({ entry, child, then, otherwise, undo }: Node): readonly Entry[] => [
  entry,
  ...[child, then, otherwise, undo].flatMap((list) => list.flatMap(flattened)),
]

/** The steps of a plan as a tree. */
export function nodesOf(plan: Plan): readonly Node[] {
  const walk: Walk = { numbered: 0, processes: 0 }
  const nodes = nodesIn(walk, plan.steps, { depth: 0, owner: undefined, role: undefined, process: 0 })
  placeList(nodes, { next: 0 })
  return nodes
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] }

interface Walk {
  numbered: number
  processes: number
}

type ListPlace = Pick<Entry, 'depth' | 'owner' | 'role' | 'process'>

function nodesIn(walk: Walk, steps: readonly Step[] | undefined, place: ListPlace, isNumbered = true): readonly Node[] {
  return (steps ?? []).map((step, position) => {
    if (isNumbered) walk.numbered++
    const number = isNumbered ? walk.numbered : undefined
    const entry: Entry = { step, number, index: -1, isFirst: position === 0, ...place }
    const below = { depth: place.depth + 1, owner: step, process: place.process }
    if (step.child !== undefined) walk.processes++
    return {
      entry,
      child: nodesIn(walk, step.child, { ...below, role: 'child', process: walk.processes }, isNumbered),
      then: nodesIn(walk, step.then, { ...below, role: 'then' }, isNumbered),
      otherwise: nodesIn(walk, step.otherwise, { ...below, role: 'otherwise' }, isNumbered),
      undo: nodesIn(walk, step.undo, { ...below, role: 'undo' }, false),
    }
  })
}

/**
 * Gives each entry its index, as executor/assemble.ts does; a test compares the two.
 *
 * A list takes consecutive indices, branches included; behind it come the lists of children and undo lists of its steps.
 */
function placeList(nodes: readonly Node[], cursor: { next: number }): void {
  const placed = withBranches(nodes)
  for (const node of placed) {
    if (node !== undefined) (node.entry as Writable<Entry>).index = cursor.next
    cursor.next++
  }
  for (const node of placed) {
    if (node === undefined) continue
    placeList(node.child, cursor)
    placeList(node.undo, cursor)
  }
}

/** `then`, a jump over `otherwise` (undefined), `otherwise`. */
function withBranches(nodes: readonly Node[]): readonly (Node | undefined)[] {
  return nodes.flatMap((node) => {
    const then = withBranches(node.then)
    const otherwise = withBranches(node.otherwise)
    const jump = then.length > 0 && otherwise.length > 0 ? [undefined] : []
    return [node, ...then, ...jump, ...otherwise]
  })
}

/** The words above a list of steps. */
export function heading({ role, owner }: Pick<Entry, 'role' | 'owner'>): string {
  switch (role) {
    case undefined:
      return ''
    case 'child':
      return 'the child:'
    case 'then':
      return 'then:'
    case 'otherwise':
      return `or, if ${(owner?.tolerate ?? []).join(' or ')}:`
    case 'undo':
      return 'to undo this:'
  }
}
