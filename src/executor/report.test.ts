import { expect, test } from 'bun:test'
import { parseReport } from './report.ts'

const PID = { slot: 'pid' }
const assembled = { slots: new Map([['pid', 0]]), reads: [] }

/** total, id, kind, failures, slots, bytes read, lines of the trace, and one slot. */
const reportOf = (kind: number, failures: number, slots: number, read: number, trace: number): Uint8Array =>
  new Uint8Array(Uint32Array.of(40, 1, kind, failures, slots, read, trace, 0, 7, 0).buffer)

test('a report answers with its slots', () => {
  expect(parseReport(reportOf(2, 0, 1, 0, 0), assembled).slot(PID)).toBe(7)
})

test('a report with less in it than it says is a bug, not a read beyond its end', () => {
  const many = 0xffff_ffff
  for (const frame of [
    reportOf(3, 1, 1, 0, 0),
    reportOf(3, many, 1, 0, 0),
    reportOf(2, 0, many, 0, 0),
    reportOf(2, 0, 1, 1, 0),
    reportOf(2, 0, 1, 0, many),
    reportOf(2, 0, 1, 0, 0).subarray(0, 31),
  ])
    expect(() => parseReport(frame, assembled)).toThrow('the executor sent a report of')
})

test('a slot that is not in the report is a bug', () => {
  const { slot } = parseReport(reportOf(2, 0, 0, 8, 0), assembled)
  expect(() => slot(PID)).toThrow('the executor sent a report of 0 slots, without pid')
})

test('the errno of a refused plan counts no failures', () => {
  expect(parseReport(reportOf(4, 11, 1, 0, 0), assembled).failures).toEqual([])
})
