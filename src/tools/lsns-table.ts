/** The namespaces that there are: who is in them, who owns them, what keeps them. namespaces(7), ioctl_nsfs(2) */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from '../linux/files.ts'
import { containerName, containerOfCgroup } from '../observe/containers-of.ts'
import { readMounts } from '../observe/mounts.ts'
import { listPids } from '../observe/netns.ts'
import { readCommandLine, readProcessStat } from '../observe/process.ts'
import { parsePasswd } from '../observe/users.ts'

/** In the order of lsns(8). */
export const TYPES = ['mnt', 'net', 'time', 'cgroup', 'pid', 'user', 'uts', 'ipc'] as const
export type Type = (typeof TYPES)[number]

export interface ProcessRow {
  readonly pid: number
  readonly ppid: number
  readonly uid: number
  readonly user: string
  readonly command: string
  /** `coffer:web`, `docker:db`; undefined outside of containers. */
  readonly container: string | undefined
  readonly namespaces: Readonly<Partial<Record<Type, number>>>
}

export interface NamespaceRow {
  readonly ns: number
  readonly type: Type
  readonly pids: readonly number[]
  /** A file that leads to it. */
  readonly path: string
  readonly nsfs: readonly string[]
  /** The namespace above it, of pid and user namespaces; undefined if it is out of sight. */
  readonly parent: number | undefined
  /** The user namespace that owns it. */
  readonly owner: number | undefined
}

/** By the pid of its first process. */
export type KnownContainers = ReadonlyMap<number, string>

export interface NamespaceTable {
  readonly processes: ReadonlyMap<number, ProcessRow>
  readonly namespaces: readonly NamespaceRow[]
}

export function readNamespaceTable(native: Native, files: Files, known: KnownContainers): NamespaceTable {
  const users = parsePasswd(files.readText('/etc/passwd') ?? '')
  const nameOf = (uid: number): string => users.find((entry) => entry.uid === uid)?.name ?? String(uid)
  const processes = new Map<number, ProcessRow>()
  for (const pid of listPids(files)) {
    const row = readProcess(files, pid, nameOf)
    if (row !== undefined) processes.set(pid, row)
  }
  const withKnown = namedByInit(processes, known)
  return { processes: withKnown, namespaces: namespacesIn(native, files, withKnown) }
}

/** Undefined for one that has ended, and for one whose namespaces the caller may not see. */
function readProcess(files: Files, pid: number, nameOf: (uid: number) => string): ProcessRow | undefined {
  try {
    const namespaces: Partial<Record<Type, number>> = {}
    for (const type of TYPES) {
      const inode = Number(/\[(\d+)\]$/.exec(files.readLink(`/proc/${pid}/ns/${type}`) ?? '')?.[1])
      if (inode > 0) namespaces[type] = inode
    }
    const stat = readProcessStat(files, pid)
    const uid = files.status(`/proc/${pid}`)?.uid
    if (stat === undefined || uid === undefined || Object.keys(namespaces).length === 0) return undefined
    const found = containerOfCgroup(files.readText(`/proc/${pid}/cgroup`) ?? '')
    return {
      pid,
      ppid: stat.parentPid,
      uid,
      user: nameOf(uid),
      command: readCommandLine(files, pid)?.join(' ') || stat.command,
      container: found === undefined ? undefined : `${found.engine}:${containerName(files, found)}`,
      namespaces,
    }
  } catch (error) {
    if (error instanceof OperationError) return undefined
    throw error
  }
}

/** Containers of coffer are known by their init; whoever has it among its ancestors, or shares its pid namespace, is in there too. */
function namedByInit(
  processes: ReadonlyMap<number, ProcessRow>,
  known: KnownContainers,
): ReadonlyMap<number, ProcessRow> {
  const own = processes.get(1)?.namespaces.pid
  const byPidNamespace = new Map<number, string>()
  for (const [pid, name] of known) {
    const namespace = processes.get(pid)?.namespaces.pid
    if (namespace !== undefined && namespace !== own) byPidNamespace.set(namespace, name)
  }
  const named = (row: ProcessRow): string | undefined => {
    const byNamespace = row.namespaces.pid === undefined ? undefined : byPidNamespace.get(row.namespaces.pid)
    if (byNamespace !== undefined) return byNamespace
    for (let at: ProcessRow | undefined = row; at !== undefined; at = processes.get(at.ppid)) {
      const name = known.get(at.pid)
      if (name !== undefined) return name
    }
    return row.container
  }
  return new Map([...processes].map(([pid, row]) => [pid, { ...row, container: named(row) }]))
}

function namespacesIn(
  native: Native,
  files: Files,
  processes: ReadonlyMap<number, ProcessRow>,
): readonly NamespaceRow[] {
  const members = new Map<string, number[]>()
  for (const { pid, namespaces } of processes.values())
    for (const type of TYPES) {
      const ns = namespaces[type]
      if (ns === undefined) continue
      const list = members.get(`${type} ${ns}`)
      if (list === undefined) members.set(`${type} ${ns}`, [pid])
      else list.push(pid)
    }
  const kept = keptIn(files)
  for (const key of kept.keys()) if (!members.has(key)) members.set(key, [])
  const rows = [...members].map(([key, pids]): NamespaceRow => {
    const [type = 'mnt', ns = '0'] = key.split(' ') as [Type, string]
    const nsfs = kept.get(key) ?? []
    const path = pids[0] === undefined ? (nsfs[0] ?? '') : `/proc/${pids[0]}/ns/${type}`
    return { ns: Number(ns), type, pids, path, nsfs, ...relativesOf(native, path, type) }
  })
  return rows.sort((a, b) => a.ns - b.ns)
}

/** Mounts that keep a namespace, by `type inode`: the root of such a mount is `net:[4026532008]`. */
function keptIn(files: Files): ReadonlyMap<string, readonly string[]> {
  const kept = new Map<string, string[]>()
  for (const { fileSystem, root, mountPoint } of readMounts(files) ?? []) {
    const [, type, ns] = /^(\w+):\[(\d+)\]$/.exec(fileSystem === 'nsfs' ? root : '') ?? []
    if (type !== undefined) kept.set(`${type} ${ns}`, [...(kept.get(`${type} ${ns}`) ?? []), mountPoint])
  }
  return kept
}

const NS_GET_USERNS = 0xb701
const NS_GET_PARENT = 0xb702

function relativesOf(native: Native, path: string, type: Type): Pick<NamespaceRow, 'parent' | 'owner'> {
  const fd = attempt(native, 'openat', AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)
  if (fd < 0) return { parent: undefined, owner: undefined }
  const owner = relative(native, fd, NS_GET_USERNS)
  const parent = type === 'pid' || type === 'user' ? relative(native, fd, NS_GET_PARENT) : undefined
  attempt(native, 'close', fd)
  return { parent, owner }
}

/** EPERM: it is above what this process may see. */
function relative(native: Native, fd: number, request: number): number | undefined {
  const other = attempt(native, 'ioctl', fd, request, 0)
  if (other < 0) return undefined
  const link = new Uint8Array(64)
  const length = attempt(native, 'readlinkat', AT_FDCWD, `/proc/self/fd/${other}`, link, link.length)
  attempt(native, 'close', other)
  const inode = Number(/\[(\d+)\]$/.exec(length < 0 ? '' : native.decode(link, 0, length))?.[1])
  return inode > 0 ? inode : undefined
}
