import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keepFiles } from './files-node.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-kept-'))
afterAll(() => rmSync(directory, { recursive: true }))
const openHere = (): number => readdirSync('/proc/self/fd').length

test('a kept file says what is in it now, however much that is', () => {
  const path = join(directory, 'grows')
  const kept = keepFiles()
  for (const text of ['', 'one\n', 'x'.repeat(1024), 'y'.repeat(100_000), 'two\n']) {
    writeFileSync(path, text)
    expect(kept.readText(path)).toBe(text)
  }
  kept.close()
})

test('a kept file is opened once, and one that is absent is not looked for again', () => {
  const [there, absent] = [join(directory, 'there'), join(directory, 'absent')]
  writeFileSync(there, 'text')
  const before = openHere()
  const kept = keepFiles()
  for (let round = 0; round < 3; round++) {
    expect(kept.readText(there)).toBe('text')
    expect(kept.readText(absent)).toBeUndefined()
    expect(openHere()).toBe(before + 1)
    writeFileSync(absent, 'late')
  }
  kept.close()
  expect(openHere()).toBe(before)
})

test('what is closed reads nothing, as the number of its descriptor may be that of another file', () => {
  const path = join(directory, 'closed')
  writeFileSync(path, 'text')
  const kept = keepFiles()
  expect(kept.readText(path)).toBe('text')
  kept.close()
  expect(kept.readText(path)).toBeUndefined()
})
