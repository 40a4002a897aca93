/**
 * The floor: a plan as a C program that makes just its system calls. No configuration is read, nothing is decided, and nobody asks how it went:
 * what a container takes in any language.
 *
 * Undo steps are left out, as a floor does not fail.
 */

import { sizeBytesOf, utf8Length } from '../src/linux/bytes.ts'
import type { Argument, Buffer, Pointer, Slot, Struct, Text } from '../src/linux/call.ts'
import { type Errno, errnoNumber } from '../src/linux/errno.ts'
import { type Architecture, callNumber } from '../src/linux/numbers.ts'
import type { Check, Plan, Step } from '../src/plan/plan.ts'

/** C for native/sys.h, which it includes. */
export function floorProgram(plan: Plan, architecture: Architecture): string {
  const program: Program = {
    architecture,
    declarations: [],
    lines: [],
    slots: new Map(),
    buffers: new Set(),
    constants: 0,
    steps: 0,
  }
  writeList(program, plan.steps)
  return `${[
    '#include "sys.h"',
    `static long slot[${program.slots.size + 1}];`,
    ...program.declarations,
    helpers(callNumber('exit_group', architecture)),
    '__attribute__((used)) void entry(long *stack)',
    '{',
    '    long r;',
    '    (void)stack;',
    // Where the executor reports to: a plan sees to it that somebody listens.
    `    SYS3(${callNumber('dup3', architecture)}, 0, 4, 0);`,
    ...program.lines,
    '    stop(0);',
    '}',
  ].join('\n')}\n`
}

const helpers = (exitGroup: number | undefined): string => `
static char *text_begin, *text_end;
static void stop(int status)
{
    for (;;) SYS1(${exitGroup}, status);
}
static char *copy(char *to, const char *from)
{
    while (*from) *to++ = *from++;
    *to = 0;
    return to;
}
static char *decimal(char *to, long value)
{
    char digits[20];
    int n = 0;
    if (value < 0) *to++ = '-', value = -value;
    do digits[n++] = (char)('0' + value % 10); while (value /= 10);
    while (n) *to++ = digits[--n];
    *to = 0;
    return to;
}
/* A step that did not do what the plan expects ends the program; the status says which. */
static void need(int holds, int step)
{
    if (!holds) stop(100 + step % 100);
}`

interface Program {
  readonly architecture: Architecture
  readonly declarations: string[]
  readonly lines: string[]
  readonly slots: Map<string, number>
  readonly buffers: Set<string>
  constants: number
  steps: number
}

function writeList(program: Program, steps: readonly Step[]): void {
  for (const step of steps) if (step.call.name !== 'report') writeStep(program, step)
}

function writeStep(program: Program, step: Step): void {
  const { lines } = program
  const number = ++program.steps
  const call = callOf(program, step)
  const errnos: readonly Errno[] = ['EINTR', ...(step.retry ?? [])]
  const again = errnos.map((errno) => `r == -${errnoNumber(errno)}`).join(' || ')
  lines.push(`    /* ${number}: ${step.why.replaceAll('*/', '')} */`, `    do r = ${call}; while (${again});`)
  if (step.child !== undefined) {
    lines.push('    if (r == 0) {')
    writeList(program, step.child)
    lines.push('        stop(0);', '    }')
  }
  if (step.into !== undefined) lines.push(`    ${slotOf(program, step.into)} = r;`)
  const holds = [`r >= 0`, ...(step.check === undefined ? [] : [conditionOf(program, step.check)])].join(' && ')
  const keeps = (step.keep ?? []).map(
    ({ slot, in: from, offset, sizeBytes }) =>
      `    if (r >= 0) ${slotOf(program, slot)} = *(${CTYPES[sizeBytes]} *)(${bufferOf(program, from)} + ${offset});`,
  )
  lines.push(...keeps)
  if (step.tolerate === undefined) {
    lines.push(`    need(${holds}, ${number});`)
    writeList(program, step.then ?? [])
    return
  }
  lines.push(`    if (${holds}) {`)
  writeList(program, step.then ?? [])
  lines.push('    } else {')
  writeList(program, step.otherwise ?? [])
  lines.push('    }')
}

const CTYPES = { 1: 'uint8_t', 2: 'uint16_t', 4: 'int32_t', 8: 'int64_t' } as const

function callOf(program: Program, { call }: Step): string {
  const number = callNumber(call.name, program.architecture)
  if (number === undefined) throw new Error(`there is no number for ${call.name}`)
  const args = call.args.map((argument) => argumentOf(program, argument))
  return `SYS${args.length}(${[number, ...args].join(', ')})`
}

function argumentOf(program: Program, argument: Argument): string {
  if (typeof argument === 'number' || typeof argument === 'bigint') return `${BigInt.asIntN(64, BigInt(argument))}l`
  if (typeof argument === 'string' || argument instanceof Uint8Array) return pointerOf(program, argument)
  if ('slot' in argument) return slotOf(program, argument)
  if ('sizeOf' in argument) return `${utf8Length(argument.sizeOf)}l`
  // The text is an argument of the same call, and its place is where the last one was put together.
  if ('lengthOf' in argument) return `text_end - text_begin`
  return pointerOf(program, argument)
}

function pointerOf(program: Program, pointer: Pointer): string {
  if (typeof pointer === 'string') return quoted(pointer)
  if (pointer instanceof Uint8Array) return constant(program, pointer)
  if ('buffer' in pointer) return bufferOf(program, pointer)
  if ('text' in pointer) return textOf(program, pointer)
  if ('struct' in pointer) return structOf(program, pointer)
  const name = `words${++program.constants}`
  program.declarations.push(`static const char *${name}[${pointer.strings.length + 1}];`)
  pointer.strings.forEach((value, index) => {
    program.lines.push(`    ${name}[${index}] = ${pointerOf(program, value)};`)
  })
  return name
}

function constant(program: Program, bytes: Uint8Array): string {
  const name = `bytes${++program.constants}`
  program.declarations.push(
    `static unsigned char ${name}[${bytes.length || 1}] __attribute__((aligned(8))) = { ${[...bytes].join(', ')} };`,
  )
  return name
}

function structOf(program: Program, { struct, fields }: Struct): string {
  const name = constant(program, struct)
  for (const { offset, sizeBytes, value } of fields) {
    const text = typeof value === 'object' && 'slot' in value ? slotOf(program, value) : pointerOf(program, value)
    program.lines.push(`    *(${CTYPES[sizeBytes]} *)(${name} + ${offset}) = (${CTYPES[sizeBytes]})(long)${text};`)
  }
  return name
}

function textOf(program: Program, { text }: Text): string {
  const name = `text${++program.constants}`
  const room = text.reduce((total, piece) => total + (typeof piece === 'string' ? piece.length * 3 : 20), 1)
  program.declarations.push(`static char ${name}[${room}];`)
  program.lines.push(`    text_end = text_begin = ${name};`)
  for (const piece of text) {
    const add =
      typeof piece === 'string' ? `copy(text_end, ${quoted(piece)})` : `decimal(text_end, ${slotOf(program, piece)})`
    program.lines.push(`    text_end = ${add};`)
  }
  return name
}

function bufferOf(program: Program, { buffer, sizeBytes }: Buffer): string {
  const name = `buffer_${buffer.replace(/\W/g, '_')}`
  if (!program.buffers.has(name)) {
    program.buffers.add(name)
    program.declarations.push(`static char ${name}[${sizeBytes}] __attribute__((aligned(8)));`)
  }
  return name
}

function slotOf({ slots }: Program, { slot }: Slot): string {
  if (!slots.has(slot)) slots.set(slot, slots.size)
  return `slot[${slots.get(slot)}]`
}

function conditionOf(program: Program, check: Check): string {
  if ('result' in check) return `r == ${sizeBytesOf(check.result)}`
  if ('resultAtLeast' in check) return `r >= ${check.resultAtLeast}`
  const at = `${bufferOf(program, check.in)} + ${check.offset}`
  if ('differs' in check) return `*(uint32_t *)(${at}) != ${check.differs >>> 0}u`
  return `(*(u${CTYPES[check.sizeBytes].replace(/^u/, '')} *)(${at}) & ${(check.mask ?? 0xffffffff) >>> 0}u) == ${check.equals >>> 0}u`
}

/** A C string literal; octal escapes end by themselves after three digits. */
const quoted = (text: string): string =>
  `"${[...new TextEncoder().encode(text)]
    .map((byte) =>
      byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f
        ? String.fromCharCode(byte)
        : `\\${byte.toString(8).padStart(3, '0')}`,
    )
    .join('')}"`
