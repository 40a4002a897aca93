import { expect, test } from 'bun:test'
import { utf8 } from '../linux/bytes.ts'
import { sizeOf, slot, strings, text } from '../linux/call.ts'
import { AT_FDCWD, mkdirat, O_WRONLY, openat, write } from '../linux/files.ts'
import { execve } from '../linux/process.ts'
import type { Step } from '../plan/plan.ts'
import { assemble } from './assemble.ts'
import { framesOf } from './template.ts'

const options = { architecture: 'x86_64', encode: utf8 } as const
const FILE = slot('file')
const plain = { why: 'test', see: [] }

/** A plan in which words are paths, contents with their lengths, checked and not, and arguments of a program. */
const planOf = ([name = '', content = '']: readonly string[]): { operation: string; steps: readonly Step[] } => ({
  operation: 'test',
  steps: [
    { ...plain, call: openat(AT_FDCWD, `/run/${name}/file`, O_WRONLY), into: FILE },
    { ...plain, call: write(FILE, content, sizeOf(content)), check: { result: sizeOf(content), errno: 'ENOSPC' } },
    { ...plain, call: mkdirat(FILE, 'fixed ä', 0o700), tolerate: ['EEXIST', 'EROFS', 'EBUSY'] },
    { ...plain, call: execve('/bin/true', strings(['true', name]), strings([`NAME=${name}`])) },
  ],
})

const BLANKS = ['\ue000', '\ue001']

test('a frame that was filled in is the frame of the plan with these words', () => {
  const frames = framesOf({ blanks: BLANKS, plan: planOf }, options)
  for (const words of [
    ['a', 'b'],
    ['a-long-name-for-a-container', JSON.stringify({ with: 'much', more: 'in it' })],
    ['ünïcödé', '€ 𝄞'],
    ['bytes \udcff\udc80', ''],
  ])
    expect(frames(words).frame).toEqual(assemble(planOf(words), options).frame)
})

test('what is written to a frame is not in the next one with the same words', () => {
  const frames = framesOf({ blanks: BLANKS, plan: planOf }, options)
  const first = frames(['a', 'b']).frame
  first.fill(0)
  expect(frames(['a', 'b']).frame).toEqual(assemble(planOf(['a', 'b']), options).frame)
})

test('the steps of a frame that was filled in have its words', () => {
  const frames = framesOf({ blanks: BLANKS, plan: planOf }, options)
  expect(frames(['one', 'x']).steps()[0]?.call.args[1]).toBe('/run/one/file')
  expect(frames(['two', 'x']).steps()[0]?.call.args[1]).toBe('/run/two/file')
})

test('a plan that puts a word together when it runs is made anew for each', () => {
  const plan = ([name = '']: readonly string[]) => ({
    operation: 'test',
    steps: [
      { ...plain, call: openat(AT_FDCWD, '/', 0), into: FILE },
      { ...plain, call: mkdirat(AT_FDCWD, text('/proc/', FILE, `/${name}`), 0o700) },
    ],
  })
  const frames = framesOf({ blanks: BLANKS, plan }, options)
  for (const words of [['a'], ['longer']]) expect(frames(words).frame).toEqual(assemble(plan(words), options).frame)
})

test('a text with a NUL, which would end early in the kernel, makes no frame', () => {
  expect(() => assemble(planOf(['a\0b', 'c']), options)).toThrow('a\\u0000b')
})
