/** Rows of text in columns, at a given width or as wide as they are. */

/** A cell has one text; a row without cells is an empty line. */
export type Row = readonly string[]

export interface TableOptions {
  /** The longest line, in characters; default no limit. A cell that does not fit continues below itself. */
  readonly width?: number
  /** Columns whose text stands at the right, by index. */
  readonly right?: readonly number[]
}

const GAP = '  '
/** Beyond this a cell pushes the rest of its own line to the right, instead of that of all lines. */
const WIDE = 96
const NARROWEST = 12

/** The rows as lines, without blanks at their ends. */
export function table(rows: readonly Row[], { width, right = [] }: TableOptions = {}): string {
  const natural = naturalWidths(rows, width === undefined ? WIDE : Number.POSITIVE_INFINITY)
  const widths = width === undefined ? natural : fitted(natural, width)
  return rows
    .flatMap((row) => (width === undefined ? [row] : wrapped(row, widths)))
    .map((row) => line(row, widths, right))
    .join('\n')
}

function naturalWidths(rows: readonly Row[], limit: number): readonly number[] {
  const widths: number[] = []
  // The last cell of a row pushes nothing.
  for (const row of rows)
    row.forEach((cell, column) => {
      const isLast = column === row.length - 1
      const length = isLast && column === 0 ? 0 : cell.length
      if (length <= limit) widths[column] = Math.max(widths[column] ?? 0, length)
    })
  return Array.from(widths, (width) => width ?? 0)
}

/** Takes from the widest column until the sum fits. */
function fitted(natural: readonly number[], width: number): readonly number[] {
  const widths = [...natural]
  let excess = sum(widths) + GAP.length * (widths.length - 1) - width
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths))
    const current = widths[widest] ?? 0
    if (current <= NARROWEST) break
    const second = Math.max(NARROWEST, ...widths.filter((_, column) => column !== widest))
    const cut = Math.min(excess, Math.max(1, current - second))
    widths[widest] = current - cut
    excess -= cut
  }
  return widths
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

function wrapped(row: Row, widths: readonly number[]): readonly Row[] {
  const cells = row.map((cell, column) => wrap(cell, row.length === 1 ? sum(widths) : (widths[column] ?? 0)))
  const height = Math.max(1, ...cells.map((lines) => lines.length))
  return Array.from({ length: height }, (_, index) => cells.map((lines) => lines[index] ?? ''))
}

/** Breaks a text behind blanks and `|`; what follows the first line is indented by two more than the first. */
export function wrap(text: string, width: number): readonly string[] {
  if (text.length <= width) return [text]
  const indent = ' '.repeat(text.length - text.trimStart().length)
  const next = `${indent}  `
  const lines: string[] = []
  let current = indent
  for (const piece of text.trimStart().split(/(?<=[ |])/)) {
    if ((current + piece).trimEnd().length > width && current.trim() !== '') {
      lines.push(current.trimEnd())
      current = next
    }
    current += piece
    // A piece that is longer than a line is cut.
    while (current.trimEnd().length > width && width > next.length) {
      lines.push(current.slice(0, width))
      current = next + current.slice(width)
    }
  }
  return [...lines, current.trimEnd()]
}

function line(row: Row, widths: readonly number[], right: readonly number[]): string {
  const cells = row.map((cell, column) => {
    const width = row.length === 1 ? 0 : (widths[column] ?? 0)
    return right.includes(column) ? cell.padStart(width) : cell.padEnd(width)
  })
  return cells.join(GAP).trimEnd()
}
