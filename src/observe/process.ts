/**
 * Facts about a process, from procfs.
 *
 * A pid alone never identifies a process, because the kernel gives it out again; a pid together with its start time does, until the next
 * boot. All functions answer undefined (or nothing) for a process that is gone, whenever it went. proc(5)
 */

import type { Files } from '../base/files.ts'

/** Which process: no two processes of one boot have both in common. */
export interface ProcessIdentity {
  readonly pid: number
  /** Ticks since boot, as the time namespace of the reader counts them: field 22 of /proc/PID/stat. */
  readonly startTime: number
}

/** The letters of proc_pid_stat(5): running, sleeping, disk sleep, zombie, stopped, traced, dead, parked, idle. */
export type ProcessState = 'R' | 'S' | 'D' | 'Z' | 'T' | 't' | 'X' | 'P' | 'I'

export interface ProcessStat extends ProcessIdentity {
  /** At most 15 bytes of the program's name; any bytes but a NUL. */
  readonly command: string
  readonly state: ProcessState
  readonly parentPid: number
  readonly processGroup: number
  readonly session: number
}

/** One line of a uid_map or gid_map. user_namespaces(7) */
export interface IdRange {
  /** The first id inside of the namespace. */
  readonly containerId: number
  /** The first id in the namespace of the reader (or in the parent, if the reader is inside). */
  readonly hostId: number
  readonly size: number
}

export function readProcessStat(files: Files, pid: number): ProcessStat | undefined {
  const text = files.readText(`/proc/${pid}/stat`)
  return text === undefined || text === '' ? undefined : parseProcessStat(text)
}

export function readProcessIdentity(files: Files, pid: number): ProcessIdentity | undefined {
  const stat = readProcessStat(files, pid)
  return stat === undefined ? undefined : { pid, startTime: stat.startTime }
}

/** Whether this very process still runs: not a zombie, and not another one that was given its pid. */
export function isAlive(files: Files, { pid, startTime }: ProcessIdentity): boolean {
  const stat = readProcessStat(files, pid)
  return stat !== undefined && stat.startTime === startTime && !hasEnded(stat)
}

/** A zombie has ended, and waits to be reaped. */
export const hasEnded = ({ state }: ProcessStat): boolean => state === 'Z' || state === 'X'

/** The name stands in parentheses and may hold spaces, newlines and parentheses itself: the last `)` ends it. proc_pid_stat(5) */
export function parseProcessStat(text: string): ProcessStat {
  const open = text.indexOf('(')
  const end = text.lastIndexOf(')')
  // Behind the name stands field 3.
  const fields = text.slice(end + 2).split(' ', 20)
  const field = (number: number): number => Number(fields[number - 3])
  return {
    pid: Number(text.slice(0, open - 1)),
    command: text.slice(open + 1, end),
    // Old kernels also had x, K and W, none of which is alive in a way that matters here.
    state: fields[0] as ProcessState,
    parentPid: field(4),
    processGroup: field(5),
    session: field(6),
    startTime: field(22),
  }
}

/** The children of all threads of a process; needs CONFIG_PROC_CHILDREN, without which there are none. proc_tid_children(5) */
export function readChildren(files: Files, pid: number): readonly number[] {
  const threads = files.list(`/proc/${pid}/task`) ?? []
  return threads.flatMap((thread) => parsePids(files.readText(`/proc/${pid}/task/${thread}/children`) ?? ''))
}

/** Numbers between white space, as in cgroup.procs too. */
export const parsePids = (text: string): readonly number[] =>
  text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map(Number)

/** The arguments; empty for a kernel thread and for a zombie. */
export function readCommandLine(files: Files, pid: number): readonly string[] | undefined {
  const text = files.readText(`/proc/${pid}/cmdline`)
  if (text === undefined) return undefined
  return text === '' ? [] : text.replace(/\0$/, '').split('\0')
}

/** The pids of a process, from the pid namespace of the reader (that is, of its procfs) inwards. */
export const readNamespacePids = (files: Files, pid: number): readonly number[] | undefined => {
  const line = readStatusField(files, pid, 'NSpid')
  return line === undefined ? undefined : parsePids(line)
}

/** One field of /proc/PID/status without the white space around it; e.g. `NSpid`, `CapEff`, `Seccomp`. proc_pid_status(5) */
export function readStatusField(files: Files, pid: number | 'self', name: string): string | undefined {
  const text = files.readText(`/proc/${pid}/status`)
  return text === undefined ? undefined : statusField(text, name)
}

/** The kernel escapes newlines in the name of the process, so a line that begins with `name` is the field. */
export function statusField(text: string, name: string): string | undefined {
  const key = `\n${name}:`
  const start = `\n${text}`.indexOf(key)
  if (start < 0) return undefined
  const end = text.indexOf('\n', start)
  return text.slice(start + key.length - 1, end < 0 ? undefined : end).trim()
}

export const readUidMap = (files: Files, pid: number | 'self'): readonly IdRange[] | undefined =>
  readIdMap(files, `/proc/${pid}/uid_map`)
export const readGidMap = (files: Files, pid: number | 'self'): readonly IdRange[] | undefined =>
  readIdMap(files, `/proc/${pid}/gid_map`)

function readIdMap(files: Files, path: string): readonly IdRange[] | undefined {
  const text = files.readText(path)
  return text === undefined ? undefined : parseIdMap(text)
}

export const parseIdMap = (text: string): readonly IdRange[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [containerId = 0, hostId = 0, size = 0] = parsePids(line)
      return { containerId, hostId, size }
    })

/**
 * The namespaces of a process by the kernel's name, `net` → `net:[4026531840]`; two processes share one where these are equal.
 *
 * Those that a child would be born into are left out (`pid_for_children`, `time_for_children`), and so are those that the reader may not
 * see (PTRACE_MODE_READ_FSCREDS). namespaces(7)
 */
export function readNamespaces(files: Files, pid: number | 'self'): ReadonlyMap<string, string> {
  const namespaces = new Map<string, string>()
  for (const name of namespaceNames(files.list(`/proc/${pid}/ns`) ?? [])) {
    const identity = files.readLink(`/proc/${pid}/ns/${name}`)
    if (identity !== undefined) namespaces.set(name, identity)
  }
  return namespaces
}

/** The names in /proc/PID/ns without those of future children. */
export const namespaceNames = (names: readonly string[]): readonly string[] =>
  names.filter((name) => !name.endsWith('_for_children'))
