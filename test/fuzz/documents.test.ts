import { expect, setDefaultTimeout, test } from 'bun:test'
import { fuzzDocuments } from './config.ts'
import { fuzzParsers } from './parsers.ts'
import { runDocuments } from './run-documents.ts'

setDefaultTimeout(120_000)

test('2,000 mutated documents are each a plan, or an error that names a field', () => {
  const { planned, refused, faults } = fuzzDocuments(2000, 1)
  expect(faults).toEqual([])
  expect([planned > 200, refused > 200]).toEqual([true, true])
})

test('60 mutated documents through coffer-runc each run or end with an error, and leave nothing', () => {
  const { ran, refused, faults } = runDocuments(60, 1)
  expect(faults).toEqual([])
  expect([ran > 10, refused > 10]).toEqual([true, true])
})

test('every reader takes what nobody wrote, or refuses it', () => {
  expect(fuzzParsers(2000, 1).faults).toEqual([])
})
