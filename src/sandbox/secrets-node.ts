/**
 * Which of the secrets there are now. Looked for anew when a directory that one may be in has changed; without a change that is one stat(2) for
 * each of these directories, instead of one for each secret.
 */

import { lstatSync } from 'node:fs'
import { dirname } from 'node:path'

/** File systems stamp changes with the time of a tick: one right behind the look could have the same stamp. Milliseconds. */
const TICK_MS = 50

export interface ExistingPaths {
  /** Those of the paths that exist now. */
  readonly now: () => readonly string[]
}

export function existingPaths(paths: readonly string[]): ExistingPaths {
  let stamps: ReadonlyMap<string, number> = new Map()
  let found: readonly string[] = []
  let isStable = false
  const isUnchanged = (): boolean => isStable && [...stamps].every(([directory, stamp]) => stampOf(directory) === stamp)
  return {
    now: () => {
      if (isUnchanged()) return found
      const time = Date.now()
      const parents = [...new Set(paths.flatMap(ancestorsOf))]
      stamps = new Map(parents.map((directory) => [directory, stampOf(directory)] as const))
      found = paths.filter((path) => stampOf(path) !== ABSENT)
      // What is absent appears in a directory that is there.
      stamps = new Map([...stamps].filter(([, stamp]) => stamp !== ABSENT))
      isStable = [...stamps.values()].every((stamp) => stamp < time - TICK_MS)
      return found
    },
  }
}

const ABSENT = -1

/** When the directory last got or lost an entry. */
function stampOf(path: string): number {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? ABSENT
  } catch {
    // Where the caller may not look, nothing can be hidden or seen.
    return ABSENT
  }
}

/** The directories on the way to a path, without the root. */
function ancestorsOf(path: string): readonly string[] {
  const parents: string[] = []
  for (let at = dirname(path); at !== '/' && at !== '.'; at = dirname(at)) parents.push(at)
  return parents
}
