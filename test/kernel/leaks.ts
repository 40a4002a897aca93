/** What is left of containers on the host: the oracle of every test here. Each line names one thing, and no line is a clean machine. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { listCgroupsBelow, readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'

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

export interface Baseline {
  readonly mounts: readonly string[]
}

/** Mounts of the host, without their ids, which the kernel uses again. */
export const hostMounts = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(2).join(' '))

export const takeBaseline = (): Baseline => ({ mounts: hostMounts() })

/** Cgroups of this name and below, in all hierarchies. */
export const cgroupsOf = (name: string): readonly string[] =>
  hierarchies.flatMap(({ mountPoint }) => {
    const path = join(mountPoint, name)
    return existsSync(path) ? [...listCgroupsBelow(files, path), path] : []
  })

/**
 * Pids of all processes that are in a cgroup whose path has `word` in it. Those that have ended do not count: an init without a parent of ours
 * is reaped by that of the machine, when it pleases.
 */
export const processesOf = (word: string): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => (readText(`/proc/${pid}/cgroup`) ?? '').includes(word) && !hasEnded(pid))

const hasEnded = (pid: number): boolean => /\) [ZX] /.test(readText(`/proc/${pid}/stat`) ?? '')

/** Undefined for what is gone, a process that ends while it is looked at among it. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

export interface Owned {
  /** All cgroups and processes of a site have this word in their path. */
  readonly cgroup: string
  readonly roots: readonly string[]
}

export function leaks({ cgroup, roots }: Owned, baseline: Baseline): readonly string[] {
  const mounts = hostMounts()
  return [
    ...processesOf(cgroup).map((pid) => `process ${pid} ${readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ')}`),
    ...cgroupsOf(cgroup).map((path) => `cgroup ${path}`),
    ...roots.flatMap((root) => stateIn(root).map((name) => `state ${root}/${name}`)),
    ...mounts.filter((line) => !baseline.mounts.includes(line)).map((line) => `mount ${line}`),
    ...baseline.mounts.filter((line) => !mounts.includes(line)).map((line) => `unmounted ${line}`),
  ]
}

/** Plans that are kept for the next container belong to none, and what failed last is kept on purpose. */
const KEPT = ['.plans', '.last-failure']

export const stateIn = (root: string): readonly string[] =>
  existsSync(root) ? readdirSync(root).filter((name) => !KEPT.includes(name)) : []

const DEADLINE_MS = 30_000
const SETTLING_MS = 2000

/** Whether it becomes true in a while; the kernel ends processes a moment after it is told to. */
export function settles(seen: () => boolean): boolean {
  const deadline = performance.now() + SETTLING_MS
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
