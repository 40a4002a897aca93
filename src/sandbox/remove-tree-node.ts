/**
 * Removes what somebody wrote who may be hostile: directories as deep as no path is long, or that nobody may enter.
 *
 * A directory in a directory is moved to the top before it is looked at, so no path has more than two names. Links are not followed.
 */

import { chmodSync, type Dirent, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

/** One that is gone is no matter. Throws what the file system says of a file that cannot be removed. */
export function removeTree(top: string): void {
  let count = 0
  const moveUp = (path: string): void => renameSync(path, join(top, `.coffer-${++count}`))
  for (;;) {
    const entries = entriesOf(top)
    if (entries === undefined) return
    if (entries.length === 0) break
    for (const entry of entries) {
      const path = join(top, entry.name)
      if (!entry.isDirectory()) unlinkSync(path)
      else empty(path, moveUp)
    }
  }
  rmdirSync(top)
}

function empty(directory: string, moveUp: (path: string) => void): void {
  chmodSync(directory, 0o700)
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (!entry.isDirectory()) unlinkSync(path)
    else {
      // Another parent is written into it.
      chmodSync(path, 0o700)
      moveUp(path)
    }
  }
  rmdirSync(directory)
}

function entriesOf(directory: string): readonly Dirent[] | undefined {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
