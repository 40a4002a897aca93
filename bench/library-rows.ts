/** Runs library.ts under each engine. */

import { join } from 'node:path'
import type { Part } from './bench.ts'
import type { LibrarySettings, LibraryTimes } from './library.ts'
import { atLeast, atMost, compareTimes, type Row } from './row.ts'
import { median, ratioOfMedians } from './statistics.ts'

const BYTES = 64 * 1024 * 1024
const NOTE =
  'The library has root, all namespaces, limits and a copy-on-write view; bwrap has --unshare-all, a read-only view and no limits. ' +
  'Both are awaited with all that they print. A box is there already for box.exec and for what goes through standard output.'

export const libraryPart: Part = async ({ rounds, signal }) => {
  const engines = { Bun: process.execPath, Node: join(import.meta.dir, '..', 'node_modules', '.bin', 'node') }
  const bwrap = Bun.which('bwrap') ?? undefined
  const rows: Row[] = []
  for (const [name, path] of Object.entries(engines)) {
    const settings: LibrarySettings = { bwrap, rounds, bytes: BYTES }
    const command = [path, join(import.meta.dir, 'library.ts'), JSON.stringify(settings)]
    const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit', signal })
    const output = await child.stdout.text()
    signal.throwIfAborted()
    if ((await child.exited) !== 0) throw new Error('the program with the library broke')
    rows.push(...rowsOf(name, JSON.parse(output) as LibraryTimes, bwrap !== undefined))
  }
  return { rows, notes: [NOTE] }
}

function rowsOf(name: string, times: LibraryTimes, hasBwrap: boolean): readonly Row[] {
  const { run, bwrap, exec, boxBytes, plainBytes } = times
  const beside = { peer: 'bwrap --unshare-all', theirs: bwrap }
  const rate = (each: readonly number[]): string => `${(BYTES / 1e3 / median(each)).toFixed(0)} MB/s`
  const timed = hasBwrap
    ? [
        compareTimes({ measure: `run(['true']) from ${name}`, ...beside, ours: run, goal: atMost(1.5, 1) }),
        compareTimes({ measure: `box.exec(['true']) from ${name}`, ...beside, ours: exec, goal: atMost(1, 0.5) }),
      ]
    : []
  return [
    ...timed,
    {
      measure: `64 MiB through standard output, ${name}`,
      peer: 'child_process.spawn',
      ours: rate(boxBytes),
      theirs: rate(plainBytes),
      compared: ratioOfMedians(plainBytes, boxBytes),
      goal: atLeast(0.9, 1),
    },
  ]
}
