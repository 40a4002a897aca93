import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from './remove-tree-node.ts'

test('a tree goes whatever its names are, and what its links lead to stays (S280, S310)', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-remove-'))
  try {
    const top = join(directory, 'top')
    writeFileSync(join(directory, 'canary'), 'untouched')
    // Names that are in the way of directories which are moved up.
    for (const name of ['.coffer-1', '.coffer-2', 'a']) mkdirSync(join(top, name, 'b', 'c'), { recursive: true })
    const bytes = Buffer.concat([Buffer.from(`${top}/a/`), Buffer.from([0xff, 0xfe])])
    mkdirSync(bytes)
    writeFileSync(Buffer.concat([bytes, Buffer.from([0x2f, 0x80])]), '')
    symlinkSync(directory, join(top, 'a', 'out'))
    symlinkSync('../canary', join(top, 'link'))
    mkdirSync(join(top, 'closed'), { mode: 0 })
    removeTree(top)
    expect([existsSync(top), readFileSync(join(directory, 'canary'), 'utf8')]).toEqual([false, 'untouched'])
    removeTree(top)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
