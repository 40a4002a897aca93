import { expect, test } from 'bun:test'
import { momentMs } from './moment.ts'

const now = Date.UTC(2026, 0, 1)

test('a moment is a date with parts left out, seconds since 1970, or a span before now', () => {
  expect(momentMs('2013-01-02T13:23:37Z', now)).toBe(Date.UTC(2013, 0, 2, 13, 23, 37))
  expect(momentMs('2013-01-02T13:23:37.5+01:00', now)).toBe(Date.UTC(2013, 0, 2, 12, 23, 37, 500))
  expect(momentMs('2013-01-02T13', now)).toBe(Date.UTC(2013, 0, 2, 13))
  expect(momentMs('2013-01-02', now)).toBe(Date.UTC(2013, 0, 2))
  expect(momentMs('1136073600.25', now)).toBe(1136073600250)
  expect(momentMs('42m', now)).toBe(now - 42 * 60_000)
})

test('what is no moment is none', () => {
  for (const text of ['', 'yesterday', '2013-13-01', '12:30', '2013-01-02 13:23']) {
    expect(momentMs(text, now)).toBeUndefined()
  }
})
