/** What is there once a container has been made, of which nothing is made yet: for explain, whose plan asks what its mounts find. */

import type { FileKind, FileStatus, Files } from '../base/files.ts'
import { NAMED_FILES } from './config-mounts.ts'
import type { Intent } from './intent.ts'

/** The files of the machine, and those that makeContainer would add: files of names, the init, volumes and directories for --volume. */
export function foreseen(files: Files, { names, initPath, mounts }: Intent): Files {
  const made = new Map<string, FileKind>([
    ...(names === undefined ? [] : NAMED_FILES.map((name) => [`${names.directory}/${name}`, 'file'] as const)),
    ...(initPath === undefined ? [] : [[initPath, 'file'] as const]),
    ...mounts.flatMap((one) =>
      one.kind === 'volume' || (one.kind === 'bind' && one.makesSource) ? [[one.source, 'directory'] as const] : [],
    ),
  ])
  const status = (path: string): FileStatus | undefined => {
    const kind = made.get(path)
    return files.status(path) ?? (kind === undefined ? undefined : { ...NEW, kind })
  }
  return { ...files, status }
}

const NEW: Omit<FileStatus, 'kind'> = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  links: 1,
  device: { major: 0, minor: 0 },
  identity: 'of what is not made yet',
}
