/** What was visited, for docs/reliability.md: rows of a table of Markdown. Nothing was left at any of these, or the test has failed. */

export interface Figures {
  readonly command: string
  readonly kind: string
  readonly way: string
  /** How many places there are. */
  readonly points: number
  /** And at how many of them it was interrupted. */
  readonly visited: number
}

let total = 0

export function addFigures({ command, kind, way, points, visited }: Figures): void {
  if (total === 0) console.log('| command | of | it | places | interrupted |\n|---|---|---|---|---|')
  console.log(`| ${command} | ${kind} | ${way} | ${points} | ${visited} |`)
  total += visited
}

/** For afterAll. */
export function printTotal(): void {
  console.log(`\n${total} interruptions, nothing left`)
  total = 0
}
