import { expect, setDefaultTimeout, test } from 'bun:test'
import { compareWithKernel } from './seccomp.ts'

setDefaultTimeout(60_000)

// The comparison with libseccomp has tests of its own: test/seccomp-differential.test.ts.
test('the kernel gives 300 calls the verdict that the interpreter gives them', () => {
  const { verdicts, faults } = compareWithKernel(300, 2)
  expect(faults).toEqual([])
  expect(verdicts).toBeGreaterThanOrEqual(300)
})
