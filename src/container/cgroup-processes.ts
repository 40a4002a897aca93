/** Who is in the cgroup of a container, those below it included. */

import type { Files } from '../base/files.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'

/** The pids in all cgroups at and below the container's; any one hierarchy shows them, and the first that answers is asked. */
export function readCgroupPids(files: Files, paths: Readonly<Record<string, string>>): readonly number[] {
  for (const controller of ['pids', 'freezer', '', 'memory', 'cpu', 'devices', 'name=systemd']) {
    const path = paths[controller]
    if (path !== undefined && files.status(path) !== undefined) return pidsBelow(files, path)
  }
  return []
}

const pidsBelow = (files: Files, directory: string): readonly number[] =>
  [directory, ...listCgroupsBelow(files, directory)].flatMap((cgroup) =>
    (files.readText(`${cgroup}/cgroup.procs`) ?? '').split('\n').flatMap((line) => (line === '' ? [] : [Number(line)])),
  )
