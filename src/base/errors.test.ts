import { expect, test } from 'bun:test'
import { OperationError } from './errors.ts'

test('what a name does to a terminal is shown, not done', () => {
  const error = new OperationError({
    kind: 'missing',
    operation: 'find \u001b[2Jsh\u007f',
    reason: 'it is not in \u009b31m/bin\r',
    hint: 'look at \u001b]0;x\u0007',
  })
  expect(error.message).toBe('cannot find \\u001b[2Jsh\\u007f: it is not in \\u009b31m/bin\\u000d')
  expect(error.hint).toBe('look at \\u001b]0;x\\u0007')
})

test('an error of several lines keeps them', () => {
  const error = new OperationError({ kind: 'kernel', operation: 'run a hook', reason: 'it said: a\n\tb' })
  expect(error.message).toBe('cannot run a hook: it said: a\n\tb')
})
