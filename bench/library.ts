/**
 * The library beside programs that a caller would start instead, in turns.
 *
 * Runs under Bun and under Node: library.ts SETTINGS, where SETTINGS is the JSON of LibrarySettings; prints that of LibraryTimes.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { run, sandbox } from '../src/index.ts'

export interface LibrarySettings {
  /** Commands that run `true`; undefined where there is no such program. */
  readonly bwrap: readonly string[] | undefined
  readonly srt: readonly string[] | undefined
  readonly docker: readonly string[] | undefined
  readonly rounds: number
  /** What goes through standard output in a round. */
  readonly bytes: number
}

/** Milliseconds of each round; none for a program that is not there. */
export interface LibraryTimes {
  readonly run: readonly number[]
  readonly bwrap: readonly number[]
  readonly exec: readonly number[]
  /** In the rounds of programs that take long. */
  readonly slowRun: readonly number[]
  readonly srt: readonly number[]
  readonly slowExec: readonly number[]
  readonly docker: readonly number[]
  readonly boxBytes: readonly number[]
  readonly plainBytes: readonly number[]
}

const WARM_ROUNDS = 10
/** What takes turns: commands among themselves, as they are not to pay for the garbage of the streams. */
const GROUPS = [
  ['run', 'bwrap', 'exec'],
  ['slowRun', 'srt', 'slowExec', 'docker'],
  ['boxBytes', 'plainBytes'],
] as const
/** Of the second group: what is compared there is far apart. */
const MOST_SLOW_ROUNDS = 15
const OPTIONS = { root: 'host', cwd: '/' } as const

type Work = () => Promise<void>

async function measure({ bwrap, srt, docker, rounds, bytes }: LibrarySettings): Promise<LibraryTimes> {
  const box = await sandbox(OPTIONS)
  const head = ['head', '-c', `${bytes}`, '/dev/zero'] as const
  const command = (words: readonly string[] | undefined): Work | undefined =>
    words && (async () => readAll(spawn(words[0] ?? '', words.slice(1))))
  const runOne = async (): Promise<void> => {
    await run(['true'], OPTIONS)
  }
  const execOne = async (): Promise<void> => {
    await box.exec(['true'])
  }
  const works: Readonly<Record<keyof LibraryTimes, Work | undefined>> = {
    run: runOne,
    bwrap: command(bwrap),
    exec: execOne,
    slowRun: runOne,
    srt: command(srt),
    slowExec: execOne,
    docker: command(docker),
    boxBytes: async () => {
      const { stdout, stderr, exited } = await box.spawn(head)
      stdout.resume()
      stderr.resume()
      await Promise.all([exited, ...[stdout, stderr].map((stream) => once(stream, 'end'))])
    },
    plainBytes: async () => readAll(spawn(head[0], head.slice(1))),
  }
  const times = await takeTurns(works, rounds)
  await box.kill()
  return times
}

async function takeTurns(
  works: Readonly<Record<keyof LibraryTimes, Work | undefined>>,
  rounds: number,
): Promise<LibraryTimes> {
  const names = Object.keys(works) as readonly (keyof LibraryTimes)[]
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<keyof LibraryTimes, number[]>
  for (const { group, first, last } of GROUPS.map((group) => ({ group, ...roundsOf(group, rounds) })))
    for (let round = first; round < last; round++)
      // Forwards and backwards, so that none is always behind the same other.
      for (const name of round % 2 === 0 ? group : group.toReversed()) {
        const ms = await timed(works[name])
        if (round >= 0 && ms !== undefined) times[name].push(ms)
      }
  return times
}

/** The rounds below 0 are not counted. */
function roundsOf(group: readonly string[], rounds: number): { readonly first: number; readonly last: number } {
  if (!group.includes('srt')) return { first: -WARM_ROUNDS, last: rounds }
  return { first: -1, last: Math.min(rounds, MOST_SLOW_ROUNDS) }
}

async function timed(work: Work | undefined): Promise<number | undefined> {
  if (work === undefined) return undefined
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/** As run does: both outputs are read to their ends. */
const readAll = (child: ReturnType<typeof spawn>): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stdout?.resume()
    child.stderr?.resume()
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${child.spawnfile} ended with ${code}`))))
  })

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? '') as LibrarySettings)))
