/** A small valid config.json for tests, and ways to change one field of it and to look at what is thrown. */

import { describeError, OperationError } from '../base/errors.ts'
import { type Config, parseConfig } from './config.ts'

export type Document = { [key: string]: unknown }

/** A new document with a value at each path: `exampleDocument({ 'process.user.uid': 5 })`. */
export function exampleDocument(changes: Readonly<Record<string, unknown>> = {}): Document {
  const document: Document = {
    ociVersion: '1.0.2',
    root: { path: 'rootfs' },
    process: { cwd: '/', args: ['sh'] },
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
  }
  for (const path of Object.keys(changes)) setPath(document, path.split('.'), changes[path])
  return document
}

function setPath(document: Document, keys: readonly string[], value: unknown): void {
  let at = document
  keys.forEach((key, i) => {
    if (i === keys.length - 1) at[key] = value
    else {
      at[key] ??= {}
      at = at[key] as Document
    }
  })
}

export const exampleConfig = (changes: Readonly<Record<string, unknown>> = {}): Config =>
  parseConfig(exampleDocument(changes))

/** What a reader sees of the error that such a document causes: the message and, after a line break, the hint. */
export function refusalOf(changes: Readonly<Record<string, unknown>>): string {
  try {
    exampleConfig(changes)
  } catch (error) {
    if (error instanceof OperationError) return describeError(error).replace(/^cannot read config\.json: /, '')
    throw error
  }
  return 'accepted'
}
