/** The word that someone probably meant, for hints: "did you mean …?". */

/**
 * The word with the fewest edits to `word`, or undefined if every word is too far away to be a slip of the finger.
 *
 * An edit inserts, removes or replaces a letter, or swaps two neighbours; a third of the letters may be wrong, and one always.
 * Of equally near words the first is taken.
 */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  let found: string | undefined
  let limit = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of words) {
    if (Math.abs(candidate.length - word.length) >= limit) continue
    const edits = editDistance(word, candidate)
    if (edits >= limit) continue
    found = candidate
    limit = edits
  }
  return found
}

/** Optimal string alignment: Levenshtein's distance with swaps of neighbours, three rows at a time. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let edits = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1))
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        edits = Math.min(edits, at(beforeLast, column - 2) + 1)
      }
      current.push(edits)
    }
    beforeLast = last
    last = current
  }
  return at(last, to.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
