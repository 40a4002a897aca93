/**
 * What is left of containers on the host: the oracle of every test, `clean(baseline)` of the security checks. Each line names one thing, and
 * no line is a clean machine.
 */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { listCgroupsBelow, readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { type Marks, machineLines, readText } from './machine.ts'

const files = nodeFiles()

/** Mount points of all hierarchies of cgroups, with what moves a single process into one of them. */
const hierarchies: readonly { readonly mountPoint: string; readonly version: 1 | 2 }[] =
  readCgroupLayout(files).hierarchies

/** A cgroup of the host that processes carry from their caller, until a container moves them. */
export const markerFile = (cgroup: string): string => {
  const [first] = hierarchies
  if (first === undefined) throw new Error('no hierarchy of cgroups is mounted')
  return join(first.mountPoint, cgroup, first.version === 1 ? 'tasks' : 'cgroup.procs')
}

export interface Owned extends Marks {
  readonly roots: readonly string[]
}

export interface Baseline {
  readonly lines: readonly string[]
}

export const takeBaseline = (owned: Owned): Baseline => ({ lines: linesOf(owned) })

/** What is there and was not, and what was there and is not. */
export function leaks(owned: Owned, baseline: Baseline): readonly string[] {
  const lines = linesOf(owned)
  return [
    ...lines.filter((line) => !baseline.lines.includes(line)),
    ...baseline.lines.filter((line) => !lines.includes(line) && !wentWithItsPlace(line)).map((line) => `gone: ${line}`),
  ]
}

/**
 * A mount of others that began before us: who removes the file that it lies on takes it out of all mount namespaces. unlink(2) since Linux
 * 3.18. The line of a mount has major:minor, root and mount point behind its first word.
 */
function wentWithItsPlace(line: string): boolean {
  const [kind, , , mountPoint = '/'] = line.split(' ')
  return kind === 'mount' && !existsSync(mountPoint)
}

const linesOf = (owned: Owned): readonly string[] => [
  ...processLines(owned.word),
  ...cgroupsWith(owned.word).map((path) => `cgroup ${path}`),
  ...owned.roots.flatMap((root) => stateIn(root).map((name) => `state ${root}/${name}`)),
  ...machineLines(owned),
]

/** Where the cgroup at this path is or would be, in all hierarchies. */
export const cgroupPaths = (path: string): readonly string[] =>
  hierarchies.map(({ mountPoint }) => join(mountPoint, path))

/** The cgroup at this path and those below, in all hierarchies; the deepest first. */
export const cgroupsOf = (path: string): readonly string[] => cgroupPaths(path).flatMap(withThoseBelow)

/** The same for all at the top of a hierarchy that have this word in their name. */
export const cgroupsWith = (word: string): readonly string[] =>
  hierarchies.flatMap(({ mountPoint }) =>
    readdirSync(mountPoint)
      .filter((name) => name.includes(word))
      .flatMap((name) => withThoseBelow(join(mountPoint, name))),
  )

const withThoseBelow = (path: string): readonly string[] =>
  existsSync(path) ? [...listCgroupsBelow(files, path), path] : []

interface Process {
  readonly pid: number
  readonly parent: number
  readonly state: string
}

function listProcesses(): readonly Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((name) => {
    const [, state = '', parent = ''] = /\) (\S) (\d+)/.exec(readText(`/proc/${name}/stat`) ?? '') ?? []
    return state === '' ? [] : [{ pid: Number(name), parent: Number(parent), state }]
  })
}

const hasEnded = ({ state }: Process): boolean => state === 'Z' || state === 'X'

/** Pids of all processes that run in a cgroup whose path has `word` in it. */
export const processesOf = (word: string): readonly number[] => living(listProcesses(), word).map(({ pid }) => pid)

const living = (processes: readonly Process[], word: string): readonly Process[] =>
  processes.filter((one) => !hasEnded(one) && (readText(`/proc/${one.pid}/cgroup`) ?? '').includes(word))

/**
 * Processes in our cgroups, and zombies that a process of ours keeps. An init without a parent of ours is reaped by that of the machine, when
 * it pleases, and Bun reaps its own children.
 */
function processLines(word: string): readonly string[] {
  const processes = listProcesses()
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]))
  const isOurs = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at))
      if (at === process.pid) return true
    return false
  }
  return [
    ...living(processes, word).map(
      ({ pid }) => `process ${pid} ${readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ')}`,
    ),
    ...processes
      .filter((one) => hasEnded(one) && isOurs(one.parent))
      .map(({ pid, parent }) => `zombie ${pid} of ${parent}`),
  ]
}

/** Plans that are kept for the next container belong to none, nor does a lock, and what failed last is kept on purpose. */
const PLANS = '.plans'
const KEPT = [PLANS, '.cgroups', '.last-failure']

export const stateIn = (root: string): readonly string[] =>
  existsSync(root) ? readdirSync(root).filter((name) => !KEPT.includes(name)) : []

/** What of kept plans is left over from writers that are gone. */
export const halfWritten = (root: string): readonly string[] =>
  (existsSync(join(root, PLANS)) ? readdirSync(join(root, PLANS)) : []).filter((name) => {
    const pid = /\.(\d+)$/.exec(name)?.[1]
    return pid !== undefined && !existsSync(`/proc/${pid}`)
  })

const DEADLINE_MS = 30_000
const SETTLING_MS = 2000

/** Whether it becomes true in a while; the kernel ends processes a moment after it is told to. */
export function settles(seen: () => boolean, forMs: number = SETTLING_MS): boolean {
  const deadline = performance.now() + forMs
  for (;;) {
    if (seen()) return true
    if (performance.now() > deadline) return false
    Bun.sleepSync(5)
  }
}

/** Looks until `seen` answers something, which is what it answers; throws after a while. */
export function until<Value>(what: string, seen: () => Value | undefined | false): Value {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const value = seen()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`)
    Bun.sleepSync(2)
  }
}
