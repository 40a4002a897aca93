/** The home directory that a container's own passwd file gives to a user, for $HOME. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { parsePasswd } from '../observe/users.ts'
import type { Process } from '../oci/process.ts'

/**
 * Undefined where the process has a HOME already; `/` where the file does not know the user, as in runc and crun.
 *
 * The file is the container's: a hostile one can only choose the value of HOME. It is not followed out of the root: a link as passwd, or as
 * the directory etc, counts as no file.
 */
export function homeOf(files: Files, root: string, { env, user }: Process): string | undefined {
  if (env.some((entry) => entry.startsWith('HOME='))) return undefined
  try {
    return homeIn(files, root, user)
  } catch (error) {
    // What coffer may not read, the plan will say if it matters.
    if (error instanceof OperationError && error.code === 'EACCES') return NO_HOME
    throw error
  }
}

/** What runc and crun give to a user whom nobody knows. */
const NO_HOME = '/'

function homeIn(files: Files, root: string, user: Process['user']): string {
  if (files.readLink(`${root}/etc`) !== undefined || files.readLink(`${root}/etc/passwd`) !== undefined) return NO_HOME
  const path = `${root}/etc/passwd`
  if (files.status(path)?.kind !== 'file') return NO_HOME
  return parsePasswd(files.readText(path) ?? '').find(({ uid }) => uid === user.uid)?.home ?? NO_HOME
}
