/** What a container of an image runs, and as whom, where the request leaves it to the image. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { type ResolvedUser, resolveGroups, resolveUser, type UserDatabase } from '../observe/users.ts'
import type { ImageProcess } from '../oci/image.ts'

/**
 * A command of the request takes the place of the image's, an entry point of the request that of both.
 *
 * Throws `invalid` if nothing is left to run.
 */
export interface ProgramWords {
  readonly args: readonly string[]
  /** How many of them are the entrypoint. */
  readonly entrypointWords: number
}

export function argsOf(
  image: Pick<ImageProcess, 'entrypoint' | 'cmd'>,
  { entrypoint, command }: { readonly entrypoint: string | undefined; readonly command: readonly string[] },
): ProgramWords {
  const first = entrypoint === undefined ? image.entrypoint : entrypoint === '' ? [] : [entrypoint]
  const rest = command.length > 0 || entrypoint !== undefined ? command : image.cmd
  const args = [...first, ...rest]
  if (args.length > 0) return { args, entrypointWords: first.length }
  throw new OperationError({
    kind: 'invalid',
    operation: 'run the image',
    reason: 'no command specified',
    hint: 'neither the image nor the command line says what to run: write it behind the image',
  })
}

/**
 * The user by the files of the root, which is not mounted yet: of the uppermost layer that has them.
 *
 * The files are a stranger's. A link instead of one of them, or of the directory, is not followed: it could lead to the host's.
 */
export const userIn = (files: Files, layers: readonly string[], request: string): ResolvedUser =>
  resolveUser(request, databaseIn(files, layers))

/** Groups by the same files. */
export const groupsIn = (files: Files, layers: readonly string[], words: readonly string[]): readonly number[] =>
  words.length === 0 ? [] : resolveGroups(words, databaseIn(files, layers))

function databaseIn(files: Files, layers: readonly string[]): UserDatabase {
  const [passwd, group] = ['passwd', 'group'].map((name) => textIn(files, layers, name))
  return {
    ...(passwd === undefined ? {} : { passwd }),
    ...(group === undefined ? {} : { group }),
  }
}

function textIn(files: Files, layers: readonly string[], name: string): string | undefined {
  for (const layer of layers) {
    const path = `${layer}/etc/${name}`
    if (files.readLink(`${layer}/etc`) !== undefined || files.readLink(path) !== undefined) return undefined
    if (files.status(path)?.kind === 'file') return files.readText(path)
  }
  return undefined
}
