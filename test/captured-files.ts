/** Files that were captured on some machine, by path: what a reader of files makes of them can be tested anywhere. */

import type { FileStatus, Files } from '../src/base/files.ts'

const status = (kind: 'file' | 'directory'): FileStatus => ({
  kind,
  mode: kind === 'file' ? 0o644 : 0o755,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  device: { major: 0, minor: 0 },
  // What every directory of the tests has at least.
  links: 3,
  identity: '0:1:1',
})

/** The texts at their paths, and the directories that hold them; `links` are symbolic links by path. */
export function capturedFiles(
  texts: Readonly<Record<string, string>>,
  links: Readonly<Record<string, string>> = {},
): Files {
  const namesIn = (path: string): readonly string[] => {
    const below = [...Object.keys(texts), ...Object.keys(links)].filter((each) => each.startsWith(`${path}/`))
    return [...new Set(below.map((each) => each.slice(path.length + 1).split('/')[0] ?? ''))]
  }
  const listOrAbsent = (path: string): readonly string[] | undefined => {
    const names = namesIn(path)
    return names.length === 0 ? undefined : names
  }
  return {
    readText: (path) => texts[path],
    readBytes: (path) => (texts[path] === undefined ? undefined : Buffer.from(texts[path])),
    list: listOrAbsent,
    readLink: (path) => links[path],
    status: (path) => {
      if (texts[path] !== undefined) return status('file')
      return listOrAbsent(path) === undefined ? undefined : status('directory')
    },
  }
}
