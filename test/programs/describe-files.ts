/** Everything that Files tells of some paths, as text: two implementations agree where their texts are equal. */

import { OperationError } from '../../src/base/errors.ts'
import type { Files } from '../../src/base/files.ts'

export function describeFiles(files: Files, paths: readonly string[]): string {
  const lines = paths.map((path) => {
    const text = outcome(() => files.readText(path))
    const bytes = outcome(() => files.readBytes(path)?.length)
    const list = outcome(() => [...(files.list(path) ?? ['absent'])].sort())
    const link = outcome(() => files.readLink(path))
    const status = outcome(() => files.status(path))
    return JSON.stringify({ path, text, bytes, list, link, status })
  })
  return `${lines.join('\n')}\n`
}

function outcome(read: () => unknown): unknown {
  try {
    const value = read()
    return value === undefined ? 'absent' : value
  } catch (error) {
    if (error instanceof OperationError) return [error.kind, error.operation, error.code, error.path]
    throw error
  }
}
