/** What would be written, for who only wants to see it: `coffer explain`. Nothing of it is on a disk. */

import type { Files } from '../base/files.ts'

export interface Foreseen {
  /** By path. */
  readonly texts: Map<string, string>
  /** Symbolic links, by path. */
  readonly links: Map<string, string>
}

/** The files of the machine, and those that are foreseen. */
export const withForeseen = (files: Files, { texts, links }: Foreseen): Files => ({
  ...files,
  readText: (path) => texts.get(path) ?? files.readText(path),
  readLink: (path) => links.get(path) ?? files.readLink(path),
  list: (path) => {
    const below = [...texts.keys(), ...links.keys()]
      .filter((one) => one.startsWith(`${path}/`))
      .map((one) => one.slice(path.length + 1).replace(/\/.*/s, ''))
    const there = files.list(path)
    return below.length === 0 ? there : [...new Set([...(there ?? []), ...below])]
  },
})
