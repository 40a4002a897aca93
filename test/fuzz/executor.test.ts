import { expect, setDefaultTimeout, test } from 'bun:test'
import { fuzzExecutor } from './executor.ts'

setDefaultTimeout(120_000)

test('300,000 frames do the executor no harm, whatever they say and whatever the kernel answers (S299)', () => {
  const { executions, crashes, output } = fuzzExecutor(300_000, { seed: 1 })
  if (crashes > 0) console.log(output)
  expect({ executions, crashes }).toEqual({ executions: 300_000, crashes: 0 })
})
