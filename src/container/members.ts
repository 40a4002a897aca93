/** The processes of a container. Its cgroup says which they are; without privilege it often has none, and its pid namespace has to. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { parsePids, readChildren, readStatusField } from '../observe/process.ts'
import { readCgroupPids } from './cgroup-processes.ts'
import { namespaceFile } from './namespaces.ts'
import type { Container } from './store.ts'

/** As coffer sees their pids; none for a container whose init has ended, and that has no cgroup. */
export function readMembers(files: Files, container: Container): readonly number[] {
  const paths = container.record?.cgroup.paths ?? {}
  if (Object.keys(paths).length > 0) return readCgroupPids(files, paths)
  return 'init' in container ? membersOf(files, container.init.pid) : []
}

/** Init and what it started, and what exec put into its pid namespace, if it is the first of it: in one that it joined there are others. */
function membersOf(files: Files, init: number): readonly number[] {
  const members = new Set<number>()
  const add = (pid: number): void => {
    if (members.has(pid)) return
    members.add(pid)
    for (const child of readChildren(files, pid)) add(child)
  }
  add(init)
  const namespace = pidNamespace(files, init)
  if (namespace === undefined || namespace === pidNamespace(files, 'self') || !isFirst(files, init)) return [...members]
  for (const name of files.list('/proc') ?? []) {
    if (/^\d+$/.test(name) && pidNamespace(files, Number(name)) === namespace) add(Number(name))
  }
  return [...members].sort((a, b) => a - b)
}

/** The last of its pids is that in its own namespace. proc_pid_status(5) */
const isFirst = (files: Files, pid: number): boolean =>
  parsePids(readStatusField(files, pid, 'NSpid') ?? '').slice(-1)[0] === 1

/** Undefined for a process that has ended, and for one that is none of the caller's business. */
function pidNamespace(files: Files, pid: number | 'self'): string | undefined {
  try {
    return files.readLink(namespaceFile(pid, 'pid'))
  } catch (error) {
    if (error instanceof OperationError && (error.code === 'EACCES' || error.code === 'EPERM')) return undefined
    throw error
  }
}
