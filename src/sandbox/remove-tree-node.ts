/**
 * Removes what somebody wrote who may be hostile: directories as deep as no path is long, or that nobody may enter.
 *
 * A directory in a directory is moved to the top before it is looked at, so no path has more than two names. Links are not followed, and
 * names are bytes (SECURITY-CHECKS S280, S310).
 */

import { randomUUID } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'

/** One that is gone is no matter. Throws what the file system says of a file that cannot be removed. */
export function removeTree(top: string): void {
  // Nobody who was in there knows the name, so nothing is in its way.
  const moved = `.coffer-${randomUUID()}-`
  let count = 0
  const moveUp = (path: Buffer): void => renameSync(path, `${top}/${moved}${++count}`)
  for (;;) {
    const entries = entriesOf(top)
    if (entries === undefined) return
    if (entries.length === 0) break
    for (const path of entries) {
      if (!lstatSync(path).isDirectory()) unlinkSync(path)
      else empty(path, moveUp)
    }
  }
  rmdirSync(top)
}

function empty(directory: Buffer, moveUp: (path: Buffer) => void): void {
  chmodSync(directory, 0o700)
  for (const path of pathsIn(directory)) {
    if (!lstatSync(path).isDirectory()) unlinkSync(path)
    else {
      // Another parent is written into it.
      chmodSync(path, 0o700)
      moveUp(path)
    }
  }
  rmdirSync(directory)
}

const pathsIn = (directory: Buffer): readonly Buffer[] =>
  readdirSync(directory, { encoding: 'buffer' }).map((name) => Buffer.concat([directory, Buffer.from('/'), name]))

function entriesOf(directory: string): readonly Buffer[] | undefined {
  try {
    return pathsIn(Buffer.from(directory))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
