/**
 * docker's config.json, which podman reads as well: what a user has decided about accounts of registries, and proxies of containers. And what is
 * written as docker's daemon.json.
 */

import { OperationError } from '../base/errors.ts'
import { type Section, sectionOf } from '../base/field.ts'
import { parseJson } from '../base/json.ts'

export const dockerConfigPath = (directory: string | undefined, home: string | undefined): string =>
  `${directory ?? `${home ?? ''}/.docker`}/config.json`

/** What `read` makes of the text of the file. There may be passwords in it, so of what is wrong the place is told and nothing of what stands there. */
export function readDockerConfig<Result>(text: string, path: string, read: (document: Section) => Result): Result {
  try {
    return read(sectionOf(parseJson(text, path), `${path}: `))
  } catch (error) {
    if (error instanceof OperationError && !PUBLIC.test(error.message)) throw withoutWords(error, path)
    throw error
  }
}

/** Fields that hold no secret. */
const PUBLIC = /: (?:registry-mirrors|insecure-registries)\S* (?:is|has) /

function withoutWords({ message }: OperationError, path: string): OperationError {
  const field = /: ((?:auths|cred|proxies|detachKeys|\w+Format)\S*) (?:is|has) /.exec(message)?.[1]
  const line = /\bline \d+/.exec(message)?.[0]
  return new OperationError({
    kind: 'invalid',
    operation: `read ${path}`,
    reason:
      field === undefined
        ? `it is not JSON, or no object${line === undefined ? '' : `: ${line}`}`
        : `${field} is not what it has to be`,
    hint: 'mend the file, or move it away',
  })
}
