/**
 * Two texts → the unified format of diff(1), by Myers' algorithm ("An O(ND) difference algorithm and its variations", 1986).
 *
 * Texts that differ in more than MAX_EDITS lines are shown as wholly replaced between what they begin and end with in common.
 */

export interface Texts {
  readonly path: string
  /** Undefined: there is none. */
  readonly before: string | undefined
  readonly after: string | undefined
}

const CONTEXT_LINES = 3
/** The work is its square. */
const MAX_EDITS = 500

type Line = readonly [' ' | '-' | '+', string]

/** Empty if the texts are equal. */
export function unifiedDiff({ path, before, after }: Texts): string {
  const lines = editsOf(linesOf(before ?? ''), linesOf(after ?? ''))
  const hunks = hunksOf(lines)
  if (hunks.length === 0) return ''
  const from = before === undefined ? '/dev/null' : `a${path}`
  const to = after === undefined ? '/dev/null' : `b${path}`
  return `--- ${from}\n+++ ${to}\n${hunks.join('')}`
}

/** Each with its newline; a last line may have none. */
const linesOf = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? []

function editsOf(before: readonly string[], after: readonly string[]): readonly Line[] {
  const shorter = Math.min(before.length, after.length)
  let head = 0
  while (head < shorter && before[head] === after[head]) head++
  let tail = 0
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++
  const same = (line: string): Line => [' ', line]
  return [
    ...before.slice(0, head).map(same),
    ...middleOf(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ]
}

/** `rounds[d]` has, for each diagonal, how far into `before` one comes with d edits. */
function middleOf(before: readonly string[], after: readonly string[]): readonly Line[] {
  const rounds: Map<number, number>[] = []
  let last = new Map<number, number>([[1, 0]])
  for (let edits = 0; edits <= Math.min(before.length + after.length, MAX_EDITS); edits++) {
    const round = new Map<number, number>()
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const x = alongSame(startOf(last, diagonal, edits), diagonal, { before, after })
      round.set(diagonal, x)
      if (x >= before.length && x - diagonal >= after.length) return pathBack([...rounds, round], { before, after })
    }
    rounds.push(round)
    last = round
  }
  return [...before.map((line): Line => ['-', line]), ...after.map((line): Line => ['+', line])]
}

function alongSame(from: number, diagonal: number, { before, after }: Sides): number {
  let x = from
  while (x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]) x++
  return x
}

/** Where the last edit on this diagonal ends. */
const startOf = (last: ReadonlyMap<number, number>, diagonal: number, edits: number): number =>
  isDown(last, diagonal, edits) ? (last.get(diagonal + 1) ?? 0) : (last.get(diagonal - 1) ?? 0) + 1

/** Whether the last edit on this diagonal adds a line, and does not take one away. */
const isDown = (last: ReadonlyMap<number, number>, diagonal: number, edits: number): boolean =>
  diagonal === -edits || (diagonal !== edits && (last.get(diagonal - 1) ?? 0) < (last.get(diagonal + 1) ?? 0))

interface Sides {
  readonly before: readonly string[]
  readonly after: readonly string[]
}

function pathBack(rounds: readonly ReadonlyMap<number, number>[], { before, after }: Sides): readonly Line[] {
  const lines: Line[] = []
  let [x, y] = [before.length, after.length]
  const back = (to: number): void => {
    for (; x > to; x--, y--) lines.push([' ', before[x - 1] ?? ''])
  }
  for (let edits = rounds.length - 1; edits > 0; edits--) {
    const last = rounds[edits - 1] ?? new Map<number, number>()
    const diagonal = x - y
    back(startOf(last, diagonal, edits))
    if (isDown(last, diagonal, edits)) lines.push(['+', after[--y] ?? ''])
    else lines.push(['-', before[--x] ?? ''])
  }
  back(0)
  return lines.reverse()
}

function hunksOf(lines: readonly Line[]): readonly string[] {
  const hunks: string[] = []
  let [x, y] = [0, 0]
  const starts = lines.map(([sign]) => {
    const start = [x, y] as const
    if (sign !== '+') x++
    if (sign !== '-') y++
    return start
  })
  const changed = lines.flatMap(([sign], index) => (sign === ' ' ? [] : [index]))
  for (let at = 0; at < changed.length; ) {
    let end = at
    while ((changed[end + 1] ?? Number.POSITIVE_INFINITY) - (changed[end] ?? 0) <= 2 * CONTEXT_LINES) end++
    const from = Math.max(0, (changed[at] ?? 0) - CONTEXT_LINES)
    const to = Math.min(lines.length, (changed[end] ?? 0) + CONTEXT_LINES + 1)
    hunks.push(hunkOf(lines.slice(from, to), starts[from] ?? [0, 0]))
    at = end + 1
  }
  return hunks
}

/** A side without a line names the line before it: POSIX diff "Unified format". */
function hunkOf(lines: readonly Line[], [x, y]: readonly [number, number]): string {
  const range = (without: string, start: number): string => {
    const count = lines.filter(([sign]) => sign !== without).length
    const first = count === 0 ? start : start + 1
    return count === 1 ? `${first}` : `${first},${count}`
  }
  const body = lines.map(
    ([sign, line]) => `${sign}${line}${line.endsWith('\n') ? '' : '\n\\ No newline at end of file\n'}`,
  )
  return `@@ -${range('+', x)} +${range('-', y)} @@\n${body.join('')}`
}
