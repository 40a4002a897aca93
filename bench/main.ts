/**
 * make bench: coffer beside its peers, measured in turns on this machine.
 *
 * | variable | means                                                                            |
 * |----------|----------------------------------------------------------------------------------|
 * | `ROUNDS` | how many rounds; 60 if not given                                                 |
 * | `ONLY`   | the parts to run, of `run lifecycle many memory warm tools library leaks`; all if not given    |
 * | `DIST`   | where the programs to be measured are; dist if not given                         |
 *
 * A run of all parts is kept in bench/RESULTS.md.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Bench, Outcome, Part } from './bench.ts'
import { makeBundles } from './bundle.ts'
import { leaksPart } from './leaks-rows.ts'
import { libraryPart } from './library-rows.ts'
import { lifecyclePart } from './lifecycle.ts'
import { manyPart } from './many.ts'
import { memoryPart } from './memory.ts'
import { clearPlace, makePlace, type Place } from './place.ts'
import { findPeers } from './programs.ts'
import { circumstancesText, loadNow, pageOf, tableOf } from './report.ts'
import { runPart } from './run.ts'
import { makeTimer } from './timer.ts'
import { toolsPart } from './tools.ts'
import { warmPart } from './warm-rows.ts'

const PARTS: Readonly<Record<string, Part>> = {
  run: runPart,
  lifecycle: lifecyclePart,
  many: manyPart,
  memory: memoryPart,
  warm: warmPart,
  tools: toolsPart,
  library: libraryPart,
  leaks: leaksPart,
}
const INSIDE = 'COFFER_BENCH_INSIDE'
/** The exit status of a program that SIGINT ended, as shells have it. */
const INTERRUPTED = 130

interface Settings {
  readonly rounds: number
  readonly parts: readonly string[]
  readonly dist: string
}

function readSettings({ ROUNDS = '', ONLY = '', DIST = '' }: Readonly<Record<string, string | undefined>>): Settings {
  const rounds = ROUNDS === '' ? 60 : Number(ROUNDS)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`ROUNDS is "${ROUNDS}", which is no number of rounds`)
  const parts = ONLY === '' ? Object.keys(PARTS) : ONLY.split(/[\s,]+/).filter(Boolean)
  for (const part of parts)
    if (!(part in PARTS)) throw new Error(`ONLY names "${part}"; the parts are ${Object.keys(PARTS).join(', ')}`)
  return { rounds, parts, dist: DIST === '' ? join(import.meta.dir, '..', 'dist') : resolve(DIST) }
}

/** Starts this program again in a mount namespace of its own, in which it may unmount what crun refuses. */
function enterNamespace(): number {
  if (process.getuid?.() !== 0) throw new Error('containers of runc and crun need root: sudo make bench')
  // crun makes directories below the place of v2 even so; those go to a tmpfs that ends with the namespace.
  const unmount = hybridMounts().map((path) => `umount ${path} && mount -t tmpfs bench ${path} && `)
  const script = `${unmount.join('')} exec "$@"`
  const command = [
    'unshare',
    '-m',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    import.meta.path,
  ]
  // The program inside hears of an interrupt as well, and clears up.
  process.on('SIGINT', () => undefined)
  const { exitCode } = Bun.spawnSync(command, {
    env: { ...process.env, [INSIDE]: '1' },
    stdin: 'inherit',
    stdout: 'inherit',
    stderr: 'inherit',
  })
  return exitCode
}

/** Where v2 is mounted beside v1. proc_pid_mountinfo(5) */
function hybridMounts(): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const pointsOf = (type: string): readonly string[] =>
    mounts.filter((line) => line.includes(` - ${type} `)).map((line) => line.split(' ')[4] ?? '')
  return pointsOf('cgroup').length === 0 ? [] : pointsOf('cgroup2')
}

async function main(settings: Settings): Promise<void> {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort())
  const place = makePlace()
  try {
    await measure(settings, place, interrupt.signal)
  } catch (error) {
    // The programs of the terminal hear of an interrupt too; and what was under way may make a cgroup until it ends.
    await Bun.sleep(500)
    if (!interrupt.signal.aborted) throw error
    console.error('bench: interrupted')
    process.exitCode = INTERRUPTED
  } finally {
    clearPlace(place)
  }
}

async function measure({ rounds, parts, dist }: Settings, place: Place, signal: AbortSignal): Promise<void> {
  const load = loadNow()
  const peers = findPeers(dist, place.root)
  const timer = makeTimer(place.directory, signal)
  const bundles = makeBundles(place.directory, join(dist, 'coffer-runc'), `${place.prefix}at`)
  const bench: Bench = { place, peers, bundles, timer, rounds, dist, signal }
  const outcomes: Outcome[] = []
  for (const part of parts) {
    const outcome = await PARTS[part]?.(bench)
    if (outcome === undefined) continue
    console.log(`${tableOf(outcome.rows)}\n`)
    for (const note of outcome.notes) console.log(`- ${note}`)
    outcomes.push(outcome)
  }
  const programs = [peers.coffer, peers.crun, peers.runc].filter((program) => program !== undefined)
  const circumstances = { programs, rounds, date: new Date(), load }
  console.log(`\n${circumstancesText(circumstances)}`)
  if (parts.length < Object.keys(PARTS).length) return
  const whole: Outcome = { rows: outcomes.flatMap(({ rows }) => rows), notes: outcomes.flatMap(({ notes }) => notes) }
  writeFileSync(join(import.meta.dir, 'RESULTS.md'), pageOf(circumstances, whole))
}

if (process.env[INSIDE] === undefined) process.exit(enterNamespace())
await main(readSettings(process.env))
