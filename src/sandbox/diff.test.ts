import { expect, test } from 'bun:test'
import { unifiedDiff } from './diff.ts'

const numbers = (count: number): string => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('')
const headless = (before: string | undefined, after: string | undefined): string =>
  unifiedDiff({ path: '/f', before, after }).split('\n').slice(2).join('\n')

// What diff -u of diffutils 3.8 prints for the same texts.
test('a diff is in the unified format, with three lines around each change', () => {
  expect(unifiedDiff({ path: '/f', before: 'a\nb\nc\n', after: 'a\nx\nc\n' })).toBe(
    '--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n',
  )
  expect(headless(numbers(40), numbers(40).replace('\n5\n', '\nfive\n').replace('\n30\n', '\n'))).toBe(
    '@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -27,7 +27,6 @@\n 27\n 28\n 29\n-30\n 31\n 32\n 33\n',
  )
})

test('equal texts have no diff, and a side without lines names the line before it', () => {
  expect(unifiedDiff({ path: '/f', before: 'a\n', after: 'a\n' })).toBe('')
  expect(unifiedDiff({ path: '/f', before: undefined, after: 'new\n' })).toBe(
    '--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+new\n',
  )
  expect(headless('old\n', '')).toBe('@@ -1 +0,0 @@\n-old\n')
})

test('a last line without a newline is told', () => {
  expect(headless('a\n', 'a')).toBe('@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n')
})

test('texts that differ in more lines than are compared are replaced between what they have in common', () => {
  const [before, after] = ['b', 'a'].map((letter) => `same\n${`${letter}\n`.repeat(3000)}same\n`)
  const lines = headless(before, after).split('\n')
  expect(lines.slice(0, 3)).toEqual(['@@ -1,3002 +1,3002 @@', ' same', '-b'])
  expect(lines.filter((line) => line === '+a').length).toBe(3000)
})
