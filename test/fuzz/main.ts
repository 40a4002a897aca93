/**
 * make fuzz: the long forms, one after another. ONLY=executor,seccomp,kernel,parsers,documents,containers chooses; SEED=2 begins elsewhere.
 *
 * Prints a line for each, `N executions in N s, N crashes`, and what was found. Fails if anything was.
 */

import { fuzzDocuments } from './config.ts'
import { fuzzExecutor } from './executor.ts'
import { fuzzParsers, READER_NAMES } from './parsers.ts'
import { runDocuments } from './run-documents.ts'
import { compareVerdicts, compareWithKernel } from './seccomp.ts'

interface Found {
  readonly executions: number
  readonly detail?: string
  readonly faults: readonly string[]
}

const seed = Number(process.env.SEED ?? 1)

const FORMS: Readonly<Record<string, () => Found>> = {
  executor: () => {
    const { executions, crashes, output } = fuzzExecutor(10_000_000, { seed })
    return { executions, faults: crashes === 0 ? [] : [output] }
  },
  seccomp: () => {
    const { verdicts, faults } = compareVerdicts(1_000_000, seed)
    return { executions: verdicts, faults }
  },
  kernel: () => {
    const { verdicts, faults } = compareWithKernel(1000, seed)
    return { executions: verdicts, faults }
  },
  parsers: () => {
    const { inputs, faults } = fuzzParsers(100_000, seed)
    return { executions: inputs, detail: `${READER_NAMES.length} readers`, faults }
  },
  documents: () => {
    const { documents, planned, refused, faults } = fuzzDocuments(100_000, seed)
    return { executions: documents, detail: `${planned} planned, ${refused} refused`, faults }
  },
  containers: () => {
    const { documents, ran, refused, faults } = runDocuments(1000, seed)
    return { executions: documents, detail: `${ran} ran, ${refused} ended with an error`, faults }
  },
}

const chosen = process.env.ONLY?.split(',') ?? Object.keys(FORMS)
let failed = false
for (const name of chosen) {
  const form = FORMS[name]
  if (form === undefined) throw new Error(`ONLY=${name} is none of ${Object.keys(FORMS).join(', ')}`)
  const begin = performance.now()
  const { executions, detail, faults } = form()
  const seconds = ((performance.now() - begin) / 1000).toFixed(0)
  console.log(
    `${name}: ${executions} executions in ${seconds} s${detail ? ` (${detail})` : ''}, ${faults.length} crashes or faults`,
  )
  for (const fault of faults.slice(0, 10)) console.log(fault)
  failed ||= faults.length > 0
}
process.exit(failed ? 1 : 0)
