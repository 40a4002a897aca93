/** Namespaces of processes as /proc shows them: which two are the same. namespaces(7) */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { NAMESPACE_FILES } from '../plan/namespaces.ts'

/** The file of the namespace that a process is in. */
export const namespaceFile = (pid: number | 'self', type: NamespaceType): string =>
  `/proc/${pid}/ns/${NAMESPACE_FILES[type]}`

/** Whether `path` is the namespace that coffer itself is in. By inode: a path of another process may name it, too. */
export function isOwnNamespace(files: Files, type: NamespaceType, path: string): boolean {
  const own = files.status(namespaceFile('self', type))?.identity
  return own !== undefined && identityOf(files, path) === own
}

/** Whoever may not even look at the namespaces of a process is in others. ptrace(2) "Ptrace access mode checking" */
function identityOf(files: Files, path: string): string | undefined {
  try {
    return files.status(path)?.identity
  } catch (error) {
    if (error instanceof OperationError && error.code === 'EACCES') return undefined
    throw error
  }
}
