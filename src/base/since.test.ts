import { expect, test } from 'bun:test'
import { durationText } from './since.ts'

test('a duration has one unit, the largest that says enough', () => {
  const [minute, hour, day] = [60, 3600, 86400]
  expect(
    [0.5, 1, 59, minute, 5 * minute, hour, 47 * hour, 3 * day, 20 * day, 100 * day, 800 * day].map(durationText),
  ).toEqual([
    'Less than a second',
    '1 second',
    '59 seconds',
    'About a minute',
    '5 minutes',
    'About an hour',
    '47 hours',
    '3 days',
    '2 weeks',
    '3 months',
    '2 years',
  ])
})
