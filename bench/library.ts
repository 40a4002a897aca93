/**
 * The library beside programs that a caller would start instead, in turns.
 *
 * Runs under Bun and under Node: library.ts SETTINGS, where SETTINGS is the JSON of LibrarySettings; prints that of LibraryTimes.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { run, sandbox } from '../src/index.ts'

export interface LibrarySettings {
  /** The path of bwrap; undefined where there is none. */
  readonly bwrap: string | undefined
  readonly rounds: number
  /** What goes through standard output in a round. */
  readonly bytes: number
}

/** Milliseconds of each round. */
export interface LibraryTimes {
  readonly run: readonly number[]
  readonly bwrap: readonly number[]
  readonly exec: readonly number[]
  readonly boxBytes: readonly number[]
  readonly plainBytes: readonly number[]
}

const WARM_ROUNDS = 10
/** What takes turns: commands among themselves, as they are not to pay for the garbage of the streams. */
const GROUPS = [
  ['run', 'bwrap', 'exec'],
  ['boxBytes', 'plainBytes'],
] as const
const OPTIONS = { root: 'host', cwd: '/' } as const

async function measure({ bwrap, rounds, bytes }: LibrarySettings): Promise<LibraryTimes> {
  const box = await sandbox(OPTIONS)
  const head = ['head', '-c', `${bytes}`, '/dev/zero'] as const
  const works = {
    run: async () => {
      await run(['true'], OPTIONS)
    },
    bwrap: async () => {
      if (bwrap !== undefined) await readAll(spawn(bwrap, ['--unshare-all', '--ro-bind', '/', '/', 'true']))
    },
    exec: async () => {
      await box.exec(['true'])
    },
    boxBytes: async () => {
      const { stdout, stderr, exited } = await box.spawn(head)
      stdout.resume()
      stderr.resume()
      await Promise.all([exited, ...[stdout, stderr].map((stream) => once(stream, 'end'))])
    },
    plainBytes: async () => readAll(spawn(head[0], head.slice(1))),
  }
  const times = { run: [], bwrap: [], exec: [], boxBytes: [], plainBytes: [] } as Record<keyof LibraryTimes, number[]>
  for (const group of GROUPS) {
    for (let round = -WARM_ROUNDS; round < rounds; round++) {
      // Forwards and backwards, so that none is always behind the same other.
      for (const name of round % 2 === 0 ? group : group.toReversed()) {
        const begin = performance.now()
        await works[name]()
        if (round >= 0) times[name].push(performance.now() - begin)
      }
    }
  }
  await box.kill()
  return times
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
