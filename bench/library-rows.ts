/** Runs library.ts under each engine. */

import { join } from 'node:path'
import type { Part } from './bench.ts'
import { withDocker } from './docker.ts'
import { ENGINES, runInEngine } from './engines.ts'
import type { LibrarySettings, LibraryTimes } from './library.ts'
import { atLeast, atMost, compareTimes, type Row } from './row.ts'
import { median, ratioOfMedians } from './statistics.ts'

const BYTES = 64 * 1024 * 1024
const NOTES = [
  'The library has root, all namespaces, limits and a copy-on-write view; bwrap has --unshare-all, a read-only view and no limits. ' +
    'Both are awaited with all that they print. A box is there already for box.exec and for what goes through standard output.',
  'srt is the command of @anthropic-ai/sandbox-runtime, with no network; docker exec is that of Debian, on dockerd with runc, its socket ' +
    'reached from outside the namespaces that the daemon has of its own.',
]

export const libraryPart: Part = async (bench) => {
  const { rounds, signal, place } = bench
  return withDocker(async (docker) => {
    const peers = { bwrap: commandOf(Bun.which('bwrap')), srt: await srtOf(place.directory), docker }
    const rows: Row[] = []
    for (const [name, engine] of Object.entries(ENGINES)) {
      const settings: LibrarySettings = { ...peers, rounds, bytes: BYTES }
      const times = await runInEngine<LibraryTimes>({ engine, file: 'library.ts', settings, signal })
      rows.push(...rowsOf(name, times))
    }
    return { rows, notes: NOTES }
  })
}

const commandOf = (path: string | null): readonly string[] | undefined =>
  path === null ? undefined : [path, '--unshare-all', '--ro-bind', '/', '/', 'true']

/** Where `make bench` installs it; what it runs besides is of Debian. */
async function srtOf(directory: string): Promise<readonly string[] | undefined> {
  const modules = join(import.meta.dir, '..', 'build', 'peers', 'node_modules')
  const program = join(modules, '@anthropic-ai', 'sandbox-runtime', 'dist', 'cli.js')
  const needed = ['socat', 'rg', 'bwrap'].every((name) => Bun.which(name) !== null)
  if (!needed || !(await Bun.file(program).exists())) return undefined
  const settings = join(directory, 'srt.json')
  const network = { allowedDomains: [], deniedDomains: [] }
  await Bun.write(settings, JSON.stringify({ network, filesystem: { denyRead: [], allowWrite: [], denyWrite: [] } }))
  return [ENGINES.Node ?? 'node', program, '--settings', settings, 'true']
}

function rowsOf(name: string, times: LibraryTimes): readonly Row[] {
  const { run, bwrap, exec, slowRun, srt, slowExec, docker, boxBytes, plainBytes } = times
  const beside = { peer: 'bwrap --unshare-all', theirs: bwrap }
  const [single, inBox] = [`run(['true']) from ${name}`, `box.exec(['true']) from ${name}`]
  const rate = (each: readonly number[]): string => `${(BYTES / 1e3 / median(each)).toFixed(0)} MB/s`
  const timed = [
    { measure: single, ...beside, ours: run, goal: atMost(1.5, 1) },
    { measure: inBox, ...beside, ours: exec, goal: atMost(1, 0.5) },
    { measure: single, peer: 'srt', theirs: srt, ours: slowRun, goal: atMost(0.05, 0.02) },
    { measure: inBox, peer: 'docker exec', theirs: docker, ours: slowExec, goal: atMost(0.05, 0.02) },
  ]
  return [
    ...timed.filter(({ theirs }) => theirs.length > 0).map(compareTimes),
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
