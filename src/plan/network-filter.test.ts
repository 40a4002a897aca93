import { expect, test } from 'bun:test'
import { planRules, planRulesAhead } from './network-filter.ts'

const RULES = new Uint8Array([1, 2, 3])
const names = (steps: ReturnType<typeof planRules>): readonly string[] => steps.map(({ call }) => call.name)

test('a batch is sent, its answer is heeded, and the socket is closed', () => {
  const [first, ...rest] = names(planRules(RULES))
  expect([first, rest[0], rest.at(-1)]).toEqual(['socket', 'sendto', 'close'])
})

test('a child that has nothing but the socket is the last to close it, or we where there is none', () => {
  const [steps, ahead] = [planRules(RULES), planRulesAhead(RULES)]
  expect(names(ahead)).toEqual([...names(steps).slice(0, -1), 'clone3', 'close'])
  const child = ahead.at(-2)
  expect(child?.tolerate).toEqual(['EAGAIN', 'ENOMEM'])
  expect(names(child?.child ?? [])).toEqual(['dup3', 'close_range', 'close_range'])
})
