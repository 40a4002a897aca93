/**
 * Takes away what programs left behind that were killed together with their executor: containers, cgroups, fifos.
 *
 * Their names begin with the pid and the start time of the program, so it is known who is gone for good. What a program that lives owns is left.
 */

import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Files } from '../base/files.ts'
import type { CgroupLayout, Hierarchy } from '../linux/cgroup.ts'
import { removeFiles } from './channel-node.ts'
import { removeTree } from './remove-tree-node.ts'

export interface Sweep {
  readonly files: Files
  /** The run root. */
  readonly root: string
  readonly layout: CgroupLayout
}

export function sweep({ files, root, layout }: Sweep): void {
  for (const name of files.list(root) ?? [])
    if (isAbandoned(files, /^lib-(\d+)-(\d+)(?:\.tmp)?$/.exec(name))) remove(join(root, name))
  for (const hierarchy of layout.hierarchies) sweepHierarchy(files, hierarchy)
}

/** What commands without a mount namespace have written may be directories, and nobody writes it any more. */
function remove(path: string): void {
  if (path.endsWith('.tmp')) removeTree(path)
  else removeFiles(path)
}

function isAbandoned(files: Files, name: RegExpExecArray | null): boolean {
  if (name === null) return false
  const [, pid = '', start = ''] = name
  // State first, start time as the 20th behind the name. A zombie runs no container any more. proc_pid_stat(5)
  const fields = (files.readText(`/proc/${pid}/stat`) ?? '').replace(/^.*\) /s, '').split(' ')
  return fields[19] !== start || fields[0] === 'Z' || fields[0] === 'X'
}

function sweepHierarchy(files: Files, { mountPoint, own, version, readonly }: Hierarchy): void {
  if (readonly) return
  const parents = new Set([mountPoint, ...(own === undefined ? [] : [parentOf(mountPoint + own, version)])])
  for (const parent of parents)
    for (const name of namesIn(parent))
      if (isAbandoned(files, /^coffer-lib-(\d+)-(\d+)-\d+$/.exec(name))) endCgroup(files, `${parent}/${name}`)
}

const parentOf = (path: string, version: 1 | 2): string =>
  version === 1 ? path.replace(/\/$/, '') : path.slice(0, path.lastIndexOf('/'))

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Killing a process that ends meanwhile is no matter; a cgroup that is still busy is left to the next start. */
function endCgroup(files: Files, path: string): void {
  for (const pid of (files.readText(`${path}/cgroup.procs`) ?? '').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended, or belongs to somebody else.
    }
  }
  try {
    rmdirSync(path)
  } catch {
    // Busy until its processes have left: the next start finds it again.
  }
}
