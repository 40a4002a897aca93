/** Where a benchmark keeps what it makes: a temporary directory and a prefix for container ids; and how all of it goes away again. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Place {
  readonly directory: string
  /** Container ids begin with this, and so do the names of their cgroups, or the part of the name behind `coffer-`. */
  readonly prefix: string
  /** The run root of a program. */
  readonly root: (program: string) => string
  /** A name that no other container of this benchmark has. */
  readonly newId: (label: string) => string
}

/** Run roots are on a tmpfs, as /run is; it is seen in the mount namespace of the benchmark alone. */
export function makePlace(): Place {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-bench-'))
  const roots = join(directory, 'run')
  mkdirSync(roots)
  must(['mount', '-t', 'tmpfs', 'bench', roots])
  const prefix = `bench-${process.pid}-`
  let count = 0
  return {
    directory,
    prefix,
    root: (program) => {
      const root = join(roots, program)
      mkdirSync(root, { recursive: true })
      return root
    },
    newId: (label) => `${prefix}${label}-${++count}`,
  }
}

/** Kills what runs in the cgroups of this benchmark, and removes them and the directory; what is gone already is no error. */
export function clearPlace({ directory, prefix }: Place): void {
  const cgroups = cgroupsOf(prefix)
  for (const cgroup of cgroups) killAll(cgroup)
  for (const cgroup of cgroups) removeCgroup(cgroup)
  must(['umount', '--lazy', join(directory, 'run')])
  rmSync(directory, { recursive: true, force: true })
}

function must(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}

const CGROUPS = '/sys/fs/cgroup'

/** The runtimes put containers without a `cgroupsPath` right below a mounted hierarchy, or below the caller's cgroup. */
function cgroupsOf(prefix: string): readonly string[] {
  const isOurs = (name: string): boolean => name.startsWith(prefix) || name.startsWith(`coffer-${prefix}`)
  const below = (directory: string, depth: number): readonly string[] =>
    subdirectories(directory).flatMap((name) => {
      const path = join(directory, name)
      return isOurs(name) ? [path] : depth > 0 ? below(path, depth - 1) : []
    })
  return below(CGROUPS, 4).filter(isCgroup)
}

/** crun also makes plain directories, where v2 would be if it were mounted. statfs(2), CGROUP_SUPER_MAGIC and CGROUP2_SUPER_MAGIC */
const isCgroup = (path: string): boolean => [0x27e0eb, 0x63677270].includes(statfsSync(path).type)

function subdirectories(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

function killAll(cgroup: string): void {
  for (const pid of processesIn(cgroup)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

function processesIn(cgroup: string): readonly number[] {
  try {
    return readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Killed processes leave their cgroup a moment later. */
function removeCgroup(cgroup: string): void {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      rmdirSync(cgroup)
      return
    } catch (error) {
      if (isGone(error)) return
      if (attempt === 199) throw error
      Bun.sleepSync(5)
    }
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(ENOENT|ESRCH|ENODEV|ENOTDIR)$/.test(String(error.code))
