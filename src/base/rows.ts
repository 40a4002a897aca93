/** Rows as docker prints them: a table, or a template for each. Source: docker/cli formatter; text/tabwriter of Go with docker's widths. */

import { sorted } from './sorted.ts'
import { compileTemplate } from './template.ts'

export interface Listing {
  /** One object a row, with docker's names of fields. */
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  /** What a field is called above its column. */
  readonly headers: Readonly<Record<string, string>>
  /** The fields of the table that is shown unless asked otherwise. */
  readonly columns: readonly string[]
}

/** `format` is undefined or `table`, `table TEMPLATE`, `json`, or a template. Throws `invalid`. */
export function printRows({ rows, headers, columns }: Listing, format = 'table'): string {
  const asked = /^table(?:\s+([\s\S]+))?$/.exec(format)
  if (asked === null) {
    const template = compileTemplate(format === 'json' ? '{{json .}}' : unescaped(format))
    return rows.map((row) => `${template(sorted(row))}\n`).join('')
  }
  const template = compileTemplate(unescaped(asked[1] ?? columns.map((name) => `{{.${name}}}`).join('\t')))
  return tableText([headers, ...rows].map((row) => template(row).split('\t')))
}

/** A shell hands on what people write for a tab. */
const unescaped = (format: string): string => format.replace(/\\t/g, '\t').replace(/\\n/g, '\n')

const MIN_WIDTH = 10
const GAP = 3

function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    row.slice(0, -1).forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? MIN_WIDTH, cell.length + GAP)
    })
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join('')
  return rows.map((row) => `${line(row)}\n`).join('')
}
