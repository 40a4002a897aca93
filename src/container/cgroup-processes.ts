/** Who is in the cgroup of a container, those below it included. */

import type { Files } from '../base/files.ts'

/** The pids in all cgroups at and below the container's; any one hierarchy shows them, and the first that answers is asked. */
export function readCgroupPids(files: Files, paths: Readonly<Record<string, string>>): readonly number[] {
  for (const controller of ['pids', 'freezer', '', 'memory', 'cpu', 'devices', 'name=systemd']) {
    const path = paths[controller]
    if (path !== undefined && files.status(path) !== undefined) return pidsBelow(files, path)
  }
  return []
}

function pidsBelow(files: Files, directory: string): readonly number[] {
  const own = (files.readText(`${directory}/cgroup.procs`) ?? '').split('\n').filter((line) => line !== '')
  const below = (files.list(directory) ?? []).filter(
    (name) => files.status(`${directory}/${name}`)?.kind === 'directory',
  )
  return [...own.map(Number), ...below.flatMap((name) => pidsBelow(files, `${directory}/${name}`))]
}
