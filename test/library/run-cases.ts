/** Runs the cases of a module, all or those named, one after the other: run-cases.ts MODULE [NAME…]; prints a CaseReport a line. */

import { isAbsolute } from 'node:path'
import type { CaseReport, Cases } from './cases.ts'

const [path = '', ...names] = process.argv.slice(2)
if (!isAbsolute(path)) throw new Error('give the absolute path of a module with cases')
const { cases } = (await import(path)) as { readonly cases: Cases }
const report = (line: CaseReport): void => console.log(JSON.stringify(line))
for (const [name, body] of Object.entries(cases)) {
  if (names.length > 0 && !names.includes(name)) continue
  try {
    await body()
    report({ name })
  } catch (error) {
    report({ name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}
