import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { openControl, planWatch } from './supervised.ts'

test('a container is killed if it has not ended when its time is over or its caller says so', () => {
  const lines = linesOf(planWatch({ deadlineMs: 1500 }, 'box'))
  expect(lines).toContain('ppoll(')
  expect(lines.indexOf('waitid')).toBeLessThan(lines.indexOf('pidfd_send_signal'))
})

test('with a release its pid is left alone until the caller lets it go', () => {
  const calls = planWatch({ release: '/r' }, 'box').map(({ call }) => call.name)
  expect(calls).toEqual([
    'ppoll',
    'pidfd_send_signal',
    'pidfd_send_signal',
    'waitid',
    'report',
    'ppoll',
    'read',
    'waitid',
  ])
})

test('nothing is made for a caller that is gone or has changed its mind', () => {
  const [, look] = openControl({ control: '/c' })
  expect(look?.check).toEqual({ resultAtLeast: 2, errno: 'ECANCELED' })
  expect(look?.tolerate).toEqual(['EAGAIN'])
})
