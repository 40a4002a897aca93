/** The manual pages that the build makes, by the program that shows them. */

import { expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const directory = join(import.meta.dir, '..', 'dist', 'man')
const pages = readdirSync(directory).map((name) => join(directory, name))

test('groff has nothing to warn of', () => {
  expect(pages.length).toBeGreaterThan(50)
  const { stdout, stderr } = Bun.spawnSync(['groff', '-man', '-Tutf8', '-ww', '-Wbreak', '-z', ...pages])
  expect([stdout.toString(), stderr.toString()]).toEqual(['', ''])
})

test('a page shows what the command takes', () => {
  const { stdout } = Bun.spawnSync(['groff', '-man', '-Tascii', '-P-cbou', join(directory, 'coffer-run.1')])
  const shown = stdout.toString()
  expect(shown).toContain('coffer run [FLAGS] IMAGE [PROGRAM [ARGUMENT...]]')
  expect(shown).toMatch(/-m, --memory BYTES\n\s+memory, e\.g\. 512m/)
})
