/** Races: somebody exchanges two names as fast as possible on another CPU while containers are made. */

import { afterAll } from 'bun:test'
import type { Changes } from '../kernel/bundle.ts'
import { swapper } from '../kernel/programs.ts'
import type { Site } from '../kernel/site.ts'
import type { Edit } from '../plan-edits.ts'
import { planOf, prepareTwin, type RunTwinOptions, type TwinRun } from '../twin.ts'

/** How many containers each race makes; RACES=5000 for a long one. */
export const ROUNDS: number = Number(process.env.RACES ?? 500)
/** How many a twin without the protection may need until it has lost one. */
const TWIN_ROUNDS = Math.max(ROUNDS, 5000)

export interface Race {
  readonly name: string
  readonly site: Site
  readonly changes: Changes
  /** The directory in which `names` are exchanged. */
  readonly directory: string
  readonly names: readonly [string, string]
  /** The protection taken away. */
  readonly unprotected: Edit
  /** What became of one start: a word for each way in which it may go. `lost` is a violation. */
  readonly outcome: (run: TwinRun) => string
  /** Makes a place of a lost round as it was. */
  readonly repair?: () => void
  readonly options?: RunTwinOptions
}

export interface Result {
  readonly rounds: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly exchanges: number
  /** Of the twin: at which round it lost; undefined if it never did. */
  readonly twinLostAt: number | undefined
}

const told: string[] = []
afterAll(() => console.log(told.join('\n')))

/** A mount namespace keeps the mounts of twins from the machine. */
const ALONE = ['unshare', '-m', '--propagation', 'private']

export async function race(one: Race): Promise<Result> {
  const { site, changes, name, outcome } = one
  const twin = planOf(site, { ...FEW, ...changes })
  const start = prepareTwin(site, twin, one.options)
  const weak = prepareTwin(site, { ...twin, plan: one.unprotected(twin.plan) }, { through: ALONE, ...one.options })
  const outcomes: Record<string, number> = {}
  const racer = Bun.spawn([swapper(), ...one.names], { cwd: one.directory, stdout: 'pipe', stderr: 'ignore' })
  let twinLostAt: number | undefined
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const word = outcome(start())
      outcomes[word] = (outcomes[word] ?? 0) + 1
    }
    for (let round = 1; round <= TWIN_ROUNDS && twinLostAt === undefined; round++)
      if (outcome(weak()) === 'lost') twinLostAt = round
  } finally {
    racer.kill('SIGTERM')
    await racer.exited
    one.repair?.()
  }
  const exchanges = Number(await new Response(racer.stdout).text())
  told.push(
    `race: ${name}: ${ROUNDS} starts, ${JSON.stringify(outcomes)}, ${exchanges} exchanges; the twin lost at ${twinLostAt}`,
  )
  return { rounds: ROUNDS, outcomes, exchanges, twinLostAt }
}

/** What takes time and is not raced for is left away. */
const FEW: Changes = {
  hostname: undefined,
  'linux.namespaces': [{ type: 'mount' }, { type: 'pid' }],
  'linux.maskedPaths': [],
  'linux.readonlyPaths': [],
  'root.readonly': false,
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
}
