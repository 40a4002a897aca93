import { expect, test } from 'bun:test'
import type { EbpfInstruction } from '../linux/ebpf.ts'
import { deviceProgram } from './cgroup-device-program.ts'
import { type DeviceException, type DevicePolicy, devicePolicy } from './cgroup-devices.ts'

interface Question {
  readonly type: 'b' | 'c'
  readonly major: number
  readonly minor: number
  readonly access: string
}

const LETTERS = { m: 1, r: 2, w: 4 } as const
const bits = (access: string): number =>
  [...access].reduce((sum, letter) => sum | LETTERS[letter as keyof typeof LETTERS], 0)

/** What the instructions of device programs do with a register and the operand; a jump answers whether it is taken. */
const COMPUTE: Readonly<Record<number, (value: bigint, operand: bigint) => bigint>> = {
  183: (_, operand) => operand,
  191: (_, operand) => operand,
  87: (value, operand) => value & operand,
  79: (value, operand) => value | operand,
  103: (value, operand) => BigInt.asUintN(64, value << operand),
  119: (value, operand) => value >> operand,
}
const JUMP: Readonly<Record<number, (value: bigint, operand: bigint) => boolean>> = {
  21: (value, operand) => value === operand,
  22: (value, operand) => BigInt.asUintN(32, value) === BigInt.asUintN(32, operand),
  85: (value, operand) => value !== operand,
  69: (value, operand) => (value & operand) !== 0n,
}
const EXIT = 0x95
const LOAD = 0x61
const FROM_REGISTER = [0xbf, 0x4f]

/** An interpreter of device programs: the oracle for the kernel's. */
function answer(program: readonly EbpfInstruction[], { type, major, minor, access }: Question): boolean {
  const context = [(type === 'b' ? 1 : 2) | (bits(access) << 16), major, minor]
  const registers = new Map<number, bigint>()
  const held = (register: number): bigint => registers.get(register) ?? 0n
  let at = 0
  const run = ({ opcode, destination, source, offset, immediate }: EbpfInstruction): void => {
    const operand = FROM_REGISTER.includes(opcode) ? held(source) : BigInt(immediate)
    const compute = opcode === LOAD ? () => BigInt(context[offset / 4] ?? 0) : COMPUTE[opcode]
    const jump = JUMP[opcode]
    if (compute !== undefined) registers.set(destination, compute(held(destination), operand))
    else if (jump === undefined) throw new Error(`opcode ${opcode.toString(16)}`)
    else if (jump(held(destination), operand)) at += offset
  }
  for (let step = program[at]; step !== undefined && step.opcode !== EXIT; step = program[++at]) run(step)
  if (at >= program.length) throw new Error('the program has no end')
  return held(0) === 1n
}

/** The rules as the specification says it: each letter is decided by the last rule that covers it. */
function allowed({ allowsByDefault, rules }: DevicePolicy, question: Question): boolean {
  return [...question.access].every((letter) => {
    const deciding = rules.filter((rule) => covers(rule, question) && rule.access.includes(letter)).pop()
    return deciding?.allow ?? allowsByDefault
  })
}

const covers = (rule: DeviceException, { type, major, minor }: Question): boolean =>
  rule.type === type && (rule.major ?? major) === major && (rule.minor ?? minor) === minor

const ASKED: readonly Question[] = (['b', 'c'] as const).flatMap((type) =>
  [1, 5, 8, 10, 136, 4095].flatMap((major) =>
    [0, 2, 3, 9, 200, 0xfffff].flatMap((minor) =>
      ['r', 'w', 'm', 'rw', 'rwm'].map((access) => ({ type, major, minor, access })),
    ),
  ),
)

/** Numbers from 0 on that look random and are the same in each run. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

test('the program answers as the rules say, for many lists of rules', () => {
  const roll = dice(7)
  const pick = <Item>(items: readonly Item[]): Item => items[roll(items.length)] as Item
  for (let round = 0; round < 200; round++) {
    const rules = Array.from(
      { length: roll(8) },
      (): DeviceException => ({
        allow: roll(3) > 0,
        type: pick(['b', 'c']),
        major: pick([undefined, 1, 8, 136]),
        minor: pick([undefined, 0, 3, 0xfffff]),
        access: pick(['r', 'w', 'm', 'rw', 'rwm', 'rwm']),
      }),
    )
    const policy = { allowsByDefault: roll(2) === 1, rules, hasUsual: false }
    const program = deviceProgram(policy)
    for (const question of ASKED) {
      const given = program === undefined ? true : answer(program, question)
      if (given !== allowed(policy, question)) expect([policy, question, given]).toBeUndefined()
    }
  }
}, 60_000)

test('a device of the configuration is allowed beside those of every container', () => {
  const policy = devicePolicy([
    { allow: false, type: 'a', access: 'rwm' },
    { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' },
  ])
  const program = deviceProgram(policy) ?? []
  const ask = (type: 'b' | 'c', major: number, minor: number, access: string): boolean =>
    answer(program, { type, major, minor, access })
  expect([ask('c', 10, 229, 'rw'), ask('c', 1, 3, 'rw'), ask('c', 136, 7, 'rw'), ask('b', 8, 0, 'm')]).toEqual([
    true,
    true,
    true,
    true,
  ])
  expect([ask('c', 10, 230, 'r'), ask('c', 1, 1, 'r'), ask('b', 8, 0, 'r'), ask('b', 1, 3, 'r')]).toEqual([
    false,
    false,
    false,
    false,
  ])
})

test('looking whether a device exists wants no letter, and is allowed as in cgroup v1', () => {
  expect(answer(deviceProgram(devicePolicy([])) ?? [], { type: 'b', major: 8, minor: 0, access: '' })).toBe(true)
})

test('the usual rules stay short, as the verifier follows every branch', () => {
  expect(deviceProgram(devicePolicy([]))?.length).toBe(25)
})

test('a policy that allows everything needs no program', () => {
  expect(deviceProgram(devicePolicy([{ allow: true, type: 'a', access: 'rwm' }]))).toBeUndefined()
})
