/** docs/security-checks.md says where each check is tested; what it names has to be there, and nothing else has to be named. */

import { expect, test } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dir, '..', '..')
const page = readFileSync(join(root, 'docs', 'security-checks.md'), 'utf8')
const rows = [...page.matchAll(/^\| (S\d+(?:, S\d+)*) \| .*? \| .*? \| (.*?) \|$/gm)].flatMap(
  ([, numbers = '', tests = '']) =>
    numbers.split(', ').map((number) => ({
      number,
      tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path),
    })),
)

function textOf(path: string): string {
  const full = join(root, path)
  if (!statSync(full).isDirectory()) return readFileSync(full, 'utf8')
  return readdirSync(full)
    .map((name) => readFileSync(join(full, name), 'utf8'))
    .join('\n')
}

const mentions = (text: string, number: string): boolean => new RegExp(`\\b${number}\\b`).test(text)

test('each check of the table is in the tests that the table names', () => {
  expect(rows.length).toBeGreaterThan(80)
  const absent = rows.flatMap(({ number, tests }) =>
    tests.filter((path) => !mentions(textOf(path), number)).map((path) => `${number} is not in ${path}`),
  )
  expect(absent).toEqual([])
  expect(rows.filter(({ tests }) => tests.length === 0)).toEqual([])
})

test('each check that a test has in its name is in the table', () => {
  const files = ['test/kernel', 'test/security', 'test/guest', 'test/engine', 'test/library/cases'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => join(folder, name)),
  )
  const named = files.flatMap((path) =>
    [...textOf(path).matchAll(/\((S\d+(?:, S\d+)*)\)['`]/g)].flatMap(([, list = '']) => list.split(', ')),
  )
  const known = rows.map(({ number }) => number)
  expect([...new Set(named)].filter((number) => !known.includes(number))).toEqual([])
})
