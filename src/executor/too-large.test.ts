import { expect, test } from 'bun:test'
import { getpid } from '../linux/process.ts'
import type { Step } from '../plan/plan.ts'
import { assemble } from './assemble.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const made = (steps: readonly Step[]) => assemble({ operation: 'test', steps }, { architecture: 'x86_64', encode })
const step: Step = { call: getpid(), why: 'try it', see: [] }

test('a plan that the executor would not take is refused before it is sent', () => {
  expect(() => made(Array.from({ length: 65_535 }, () => step))).toThrow('it would have 65535 steps')
  const long: Step = { ...step, call: { name: 'chdir', args: ['x'.repeat(16 << 20)] } }
  expect(() => made([long])).toThrow(/it would have \d+ bytes, and the executor takes 16777216/)
  expect(made([step]).steps).toHaveLength(1)
})
