/** Documents that nobody wrote, read and planned: each is a plan that fits into a frame, or an error that says what is wrong with which field. */

import { OperationError } from '../../src/base/errors.ts'
import { DOCUMENTS } from './documents.ts'
import { containerFrame, SUITED } from './frames.ts'
import { HOSTS } from './hosts.ts'
import { mutateDocument } from './mutate.ts'
import { newRandom, type Random } from './random.ts'

export interface DocumentsRun {
  readonly documents: number
  readonly planned: number
  readonly refused: number
  /** The document and what is wrong with the answer to it. */
  readonly faults: readonly string[]
}

const anyPair = (random: Random): (typeof SUITED)[number] => ({
  document: random.of(DOCUMENTS),
  host: random.of(HOSTS),
})

const SECTIONS =
  'ociVersion|root|process|hostname|domainname|mounts|hooks|annotations|linux|vm|windows|solaris|freebsd|zos'
const NAMES_A_FIELD = new RegExp(
  `\\b(${SECTIONS})\\b|^cannot read config\\.json: (it is not JSON|it is empty|the document)`,
)

export function fuzzDocuments(count: number, seed: number): DocumentsRun {
  const random = newRandom(seed)
  const faults: string[] = []
  let planned = 0
  for (let index = 0; index < count; index++) {
    const { document, host } = random.below(8) === 0 ? anyPair(random) : random.of(SUITED)
    const text = mutateDocument(random, document, DOCUMENTS)
    try {
      containerFrame(text, host, random.of(['create', 'detach', 'wait']))
      planned++
    } catch (error) {
      const fault = faultOf(error)
      if (fault !== undefined) faults.push(`${fault}\n  ${index}: ${text.slice(0, 2000)}`)
    }
  }
  return { documents: count, planned, refused: count - planned - faults.length, faults }
}

const LONGEST_MESSAGE = 1000

// `missing` is a program that no directory of PATH can have.
const KINDS: ReadonlySet<string> = new Set(['invalid', 'unsupported', 'missing'])

/** What is wrong with an error as an answer to a document. */
function faultOf(error: unknown): string | undefined {
  if (!(error instanceof OperationError)) return `no OperationError: ${error instanceof Error ? error.stack : error}`
  const { kind, message } = error
  if (!KINDS.has(kind)) return `kind ${kind}: ${message.slice(0, LONGEST_MESSAGE)}`
  if (!NAMES_A_FIELD.test(message)) return `names no field: ${message.slice(0, LONGEST_MESSAGE)}`
  if (message.length > LONGEST_MESSAGE) return `is long: ${message.slice(0, 300)}`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(message)) return `has control characters: ${JSON.stringify(message)}`
  return undefined
}
