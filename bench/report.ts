/** The result as text: for the terminal, and as the page bench/RESULTS.md. */

import { readFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'
import type { Outcome } from './bench.ts'
import { type Goal, type Row, reached } from './row.ts'

const HEADINGS = ['measure', 'peer', 'coffer', 'peer has', 'compared', 'must', 'aim', 'reached'] as const

/** A table in Markdown, padded so that it can be read as it is. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [[...HEADINGS], HEADINGS.map(() => ''), ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const lines = cells.map((row, index) => {
    const padded = row.map((cell, column) =>
      index === 1 ? cell.padEnd(widths[column] ?? 0, '-') : cell.padEnd(widths[column] ?? 0),
    )
    return `| ${padded.join(' | ')} |`
  })
  return lines.join('\n')
}

function cellsOf(row: Row): readonly string[] {
  const { measure, peer, ours, theirs, goal } = row
  return [
    measure,
    peer,
    ours,
    theirs,
    comparedText(row),
    goalText(goal, row, 'must'),
    goalText(goal, row, 'aim'),
    reached(row),
  ]
}

function comparedText({ compared }: Row): string {
  if ('unit' in compared) return `${compared.value.toFixed(0)} ${compared.unit}`
  return `${compared.value.toFixed(2)}x (${compared.low.toFixed(2)}-${compared.high.toFixed(2)})`
}

const goalText = (goal: Goal, { compared }: Row, which: 'must' | 'aim'): string =>
  `${goal.better === 'lower' ? '<=' : '>='} ${goal[which]}${'unit' in compared ? ` ${compared.unit}` : 'x'}`

export interface Circumstances {
  readonly programs: readonly { readonly name: string; readonly version: string }[]
  readonly rounds: number
  readonly date: Date
  /** The load average when it began. */
  readonly load: readonly number[]
}

export const loadNow = (): readonly number[] => loadavg()

/** Where and when, so that a reader can judge the numbers. */
export function circumstancesText({ programs, rounds, date, load }: Circumstances): string {
  const [processor] = cpus()
  const memory = /MemTotal:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? '0'
  return [
    `- ${date.toISOString().slice(0, 10)}, Linux ${release()}, ${processor?.model ?? 'unknown processor'}, ${cpus().length} cores, ${(Number(memory) / 2 ** 20).toFixed(1)} GiB`,
    `- load average ${load.map((value) => value.toFixed(2)).join(', ')} when it began, ${loadNow()
      .map((value) => value.toFixed(2))
      .join(', ')} at the end`,
    `- ${programs.map(({ name, version }) => `${name} ${version}`).join(', ')}; Bun ${Bun.version}`,
    `- ${rounds} rounds; programs take turns within a round; times are medians of the rounds`,
  ].join('\n')
}

export const pageOf = (circumstances: Circumstances, { rows, notes }: Outcome): string => `# Results of \`make bench\`

${circumstancesText(circumstances)}

${tableOf(rows)}

"compared" is coffer divided by the peer, with the range in which it lies 95 of 100 times (for blocks of containers: lowest to highest).

${notes.map((note) => `- ${note}`).join('\n')}
- All programs get the same configuration, root file system and mount namespace. crun does not start where v1 and v2 hierarchies are both
  mounted, so on such a machine the v2 one is unmounted in that namespace, for all of them.
`
