/** The flags that name namespaces, with the letters of unshare(1) and nsenter(1). */

import type { Flag, Parsed } from '../base/flags.ts'
import type { NamespaceType } from '../oci/namespaces.ts'

export const NAMESPACE_LETTERS: readonly (readonly [NamespaceType, string, string])[] = [
  ['mount', 'mount', 'm'],
  ['uts', 'uts', 'u'],
  ['ipc', 'ipc', 'i'],
  ['network', 'net', 'n'],
  ['pid', 'pid', 'p'],
  ['user', 'user', 'U'],
  ['cgroup', 'cgroup', 'C'],
  ['time', 'time', 'T'],
]

/** `help` is what to do with the namespace, and what a file is for. */
export const namespaceFlags = (verb: string, file: string): readonly Flag[] =>
  NAMESPACE_LETTERS.map(([type, name, short]) => ({
    name,
    short,
    type: 'optional',
    value: 'FILE',
    help: `${verb} ${type} namespace; ${file}`,
  }))

export interface GivenNamespace {
  readonly type: NamespaceType
  readonly file: string | undefined
}

export const givenNamespaces = (given: Parsed): readonly GivenNamespace[] =>
  NAMESPACE_LETTERS.flatMap(([type, name]) => {
    const value = given.string(name)
    return value === undefined ? [] : [{ type, file: value === '' ? undefined : value }]
  })
