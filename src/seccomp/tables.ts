/** What one architecture makes of a profile: a verdict, or a list of rules, for each of its numbers. */

import {
  type Architecture,
  numberBase,
  numbersOf,
  slotCount,
  slotInRow,
  slotNumber,
  syscallRow,
} from '../linux/syscalls.ts'
import { comparesWholeArguments, multiplexedCalls, multiplexes } from './architectures.ts'
import { type Condition, equalTo } from './conditions.ts'
import { resolveRules } from './precedence.ts'
import { type ConditionalRule, placeOfRule, type Rules } from './rules.ts'

export interface ArchitectureTable {
  readonly architecture: Architecture
  /** By slot (linux/syscalls.ts): a verdict if not negative, otherwise -1 - an index in the list of blocks. */
  readonly outcomes: Int16Array
  /** The last slot that may have a rule, -1 if none has. */
  readonly lastSlot: number
  /** The highest number that the profile mentions, whatever it says of it; 0 if none. */
  readonly highestNumber: number
}

/** The rules for one number, in the order in which they are tried. */
export interface Block {
  readonly rules: readonly ConditionalRule[]
  /** Whether all 64 bits of an argument are compared. */
  readonly whole: boolean
}

type Building = ArchitectureTable & {
  lastSlot: number
  highestNumber: number
  /** By slot: the place in the profile of the rule that decided. */
  readonly orders: Uint32Array
}

/** Finds the number of every name of the profile, and adds to `blocks`. Throws `invalid` for rules that contradict each other. */
export function tableOf(architecture: Architecture, rules: Rules, blocks: Block[]): ArchitectureTable {
  const table: Building = {
    architecture,
    outcomes: new Int16Array(slotCount),
    orders: new Uint32Array(slotCount),
    lastSlot: -1,
    highestNumber: 0,
  }
  placePlainRules(table, rules)
  placeConditionalRules(table, rules, blocks)
  return table
}

function placePlainRules(table: Building, { mentioned, plain, plainOrder }: Rules): void {
  const { outcomes, orders, architecture } = table
  const numbers = numbersOf(architecture)
  const hidden = multiplexes(architecture) ? multiplexedRows() : undefined
  let lastSlot = -1
  let highestSlot = -1
  for (let index = 0; index < mentioned.length; index++) {
    const row = mentioned[index] as number
    const slot = slotInRow(numbers, row)
    if (slot < 0) continue
    if (slot > lastSlot) lastSlot = slot
    // runc resolves names with libseccomp, which answers no number for a call that is multiplexed.
    if (slot > highestSlot && hidden?.has(row) !== true) highestSlot = slot
    const verdict = plain[row] as number
    // Two names of ARM have one number.
    if (verdict > 0 && (outcomes[slot] === 0 || (plainOrder[row] as number) < (orders[slot] as number))) {
      outcomes[slot] = verdict - 1
      orders[slot] = plainOrder[row] as number
    }
  }
  table.lastSlot = lastSlot
  if (highestSlot >= 0) table.highestNumber = numberBase(architecture) + slotNumber(highestSlot)
}

function multiplexedRows(): ReadonlySet<number | undefined> {
  return new Set([...multiplexedCalls().keys()].map(syscallRow))
}

function placeConditionalRules(table: Building, rules: Rules, blocks: Block[]): void {
  const { outcomes, orders, architecture } = table
  const whole = comparesWholeArguments(architecture)
  for (const [slot, list] of conditionalBySlot(table, rules)) {
    const hasPlain = outcomes[slot] !== 0
    // libseccomp lets a rule without conditions replace all before it, and drops all after it.
    const counting = hasPlain ? list.filter(({ order }) => order < (orders[slot] as number)) : list
    const { always, rules: ordered } = resolveRules(counting, whole)
    if (always !== undefined) outcomes[slot] = always.verdict
    else if (!hasPlain) outcomes[slot] = -blocks.push({ rules: ordered, whole })
    if (slot > table.lastSlot) table.lastSlot = slot
  }
}

function conditionalBySlot(
  { architecture, outcomes }: ArchitectureTable,
  rules: Rules,
): ReadonlyMap<number, readonly ConditionalRule[]> {
  const bySlot = new Map<number, ConditionalRule[]>()
  const numbers = numbersOf(architecture)
  for (const [row, list] of rules.conditional) addRules(bySlot, slotInRow(numbers, row), list)
  if (multiplexes(architecture)) addMultiplexedRules(bySlot, outcomes, rules)
  for (const list of bySlot.values()) list.sort((a, b) => a.order - b.order)
  return bySlot
}

function addRules(bySlot: Map<number, ConditionalRule[]>, slot: number, rules: readonly ConditionalRule[]): void {
  if (slot < 0 || rules.length === 0) return
  const list = bySlot.get(slot)
  if (list === undefined) bySlot.set(slot, [...rules])
  else list.push(...rules)
}

/** For every rule about a socket or IPC call one about socketcall(2) or ipc(2): its first argument is the call, the others stay. */
function addMultiplexedRules(bySlot: Map<number, ConditionalRule[]>, outcomes: Int16Array, rules: Rules): void {
  for (const [name, { slot, call }] of multiplexedCalls()) {
    const row = syscallRow(name)
    // A rule for all of socketcall(2) replaces those for one call behind it.
    if (row === undefined || outcomes[slot] !== 0) continue
    const isCall = equalTo(0, call)
    const alternatives = (rules.conditional.get(row) ?? []).map((rule) => ({
      ...rule,
      conditions: replaceFirst(isCall, rule.conditions),
    }))
    const verdict = rules.plain[row] as number
    const order = rules.plainOrder[row] as number
    if (verdict > 0) {
      alternatives.push({ verdict: verdict - 1, order, place: placeOfRule(rules, order), conditions: [isCall] })
    }
    addRules(bySlot, slot, alternatives)
  }
}

function replaceFirst(first: Condition, conditions: readonly Condition[]): readonly Condition[] {
  return [first, ...conditions.filter(({ argument }) => argument !== first.argument)]
}
