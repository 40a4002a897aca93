/** Which names network namespaces have, in /run/netns, and who is in them. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'

export interface NamedNetwork {
  readonly name: string
  /** Of the namespace, as FileStatus has it; undefined for a name that is left without one. */
  readonly identity: string | undefined
}

/** In the order of their names. Several names may be of one namespace. */
export function readNamedNetworks(files: Files, directory: string): readonly NamedNetwork[] {
  const own = files.status('/proc/self/ns/net')?.identity
  const nsfs = own?.replace(/:[^:]*$/, '')
  return [...(files.list(directory) ?? [])].sort().map((name) => {
    const identity = files.status(`${directory}/${name}`)?.identity
    return { name, identity: identity?.replace(/:[^:]*$/, '') === nsfs ? identity : undefined }
  })
}

/** The identity of a namespace of a process; undefined if it is gone, or none of the caller's business. */
export function namespaceIdentity(files: Files, pid: number | 'self', file: string): string | undefined {
  try {
    return files.status(`/proc/${pid}/ns/${file}`)?.identity
  } catch (error) {
    if (error instanceof OperationError && (error.code === 'EACCES' || error.code === 'EPERM')) return undefined
    throw error
  }
}

export const listPids = (files: Files): readonly number[] =>
  (files.list('/proc') ?? []).filter((name) => /^\d+$/.test(name)).map(Number)
