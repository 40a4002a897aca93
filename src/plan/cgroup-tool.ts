/**
 * What coffer cgroup does: one name for a cgroup in several hierarchies at once, as a process is in one cgroup of each.
 *
 * On v1 a hierarchy has its own tree; on v2 all controllers are in one, and each cgroup above hands them on. cgroups(7)
 */

import { type Slot, slot } from '../linux/call.ts'
import { copySetting, nameInV2, PROCS, SUBTREE_CONTROL, TASKS } from '../linux/cgroup.ts'
import { AT_FDCWD, AT_REMOVEDIR, close, mkdirat, O_RDONLY, O_WRONLY, openat, unlinkat, write } from '../linux/files.ts'
import { V1, V2 } from './cgroup-files.ts'
import { planFreeze, planThaw } from './cgroup-freeze.ts'
import { planKillAll } from './cgroup-kill.ts'
import type { CgroupDirectories } from './cgroup-place.ts'
import type { SettingWrite } from './cgroup-settings.ts'
import { type Command, planCommand } from './command.ts'
import type { Plan, Ref, Step } from './plan.ts'

/** A cgroup in one hierarchy. */
export interface Tree {
  readonly version: 1 | 2
  /** v1: those of the hierarchy. v2: what the mounted cgroup has, by the names of v2. */
  readonly controllers: readonly string[]
  readonly mountPoint: string
  /** Below the mount point, without a slash at either end: `web`, `web/front`. */
  readonly path: string
}

export const directoryOf = ({ mountPoint, path }: Tree): string => (path === '' ? mountPoint : `${mountPoint}/${path}`)
export const labelOf = ({ version, controllers }: Tree): string => (version === 2 ? 'v2' : controllers.join(','))

const SEE: readonly Ref[] = ['cgroups(7)']

/** `controllers` of v2 are handed on along the path. */
export const planCgroupCreate = (name: string, trees: readonly Tree[]): Plan => ({
  operation: `make the cgroup ${name}`,
  steps: trees.flatMap((tree) => [...handOn(tree), ...makeDirectories(tree)]),
})

/** The cgroups on the way, and the cgroup itself. */
function makeDirectories(tree: Tree): readonly Step[] {
  const parts = tree.path.split('/')
  return parts.flatMap((_, index): readonly Step[] => {
    const path = `${tree.mountPoint}/${parts.slice(0, index + 1).join('/')}`
    const isCpuset = tree.version === 1 && tree.controllers.includes('cpuset')
    return [
      {
        call: mkdirat(AT_FDCWD, path, 0o755),
        why: `make ${path}`,
        see: SEE,
        tolerate: ['EEXIST'],
        undo: [{ call: unlinkat(AT_FDCWD, path, AT_REMOVEDIR), why: `remove ${path}`, see: SEE }],
      },
      ...(isCpuset ? ['cpuset.cpus', 'cpuset.mems'].flatMap((file) => inherit(path, file)) : []),
    ]
  })
}

/** A new cpuset of v1 has no CPU and no memory, and nobody can join it before it has. */
function inherit(path: string, file: string): readonly Step[] {
  const [from, to] = [slot(`${file} above`), slot(file)]
  const reason = { why: `let it use what the cgroup above may use (${file})`, see: [`${V1}/cpusets.rst`] }
  return [
    { call: openat(AT_FDCWD, `${path.replace(/\/[^/]*$/, '')}/${file}`, O_RDONLY), ...reason, into: from },
    { call: openat(AT_FDCWD, `${path}/${file}`, O_WRONLY), ...reason, into: to },
    { call: copySetting(from, to), ...reason },
    { call: close(from), ...reason },
    { call: close(to), ...reason },
  ]
}

/** A controller reaches a cgroup of v2 only if each one above hands it on. */
function handOn(tree: Tree): readonly Step[] {
  if (tree.version === 1 || tree.controllers.length === 0) return []
  const parts = tree.path.split('/')
  const text = tree.controllers.map((name) => `+${nameInV2(name)}`).join(' ')
  return parts.flatMap((_, index): readonly Step[] => {
    const path = [tree.mountPoint, ...parts.slice(0, index)].join('/')
    const why = `hand ${tree.controllers.join(', ')} on to the cgroups below ${path}`
    const make: readonly Step[] =
      index === 0 ? [] : [{ call: mkdirat(AT_FDCWD, path, 0o755), why: `make ${path}`, see: SEE, tolerate: ['EEXIST'] }]
    return [...make, ...setFile(path, SUBTREE_CONTROL, text, { why, see: [`${V2} "Top-down Constraint"`] })]
  })
}

interface Reason {
  readonly why: string
  readonly see: readonly Ref[]
}

function setFile(directory: string, file: string, value: string, reason: Reason): readonly Step[] {
  const fd: Slot = slot(file)
  return [
    { call: openat(AT_FDCWD, `${directory}/${file}`, O_WRONLY), ...reason, into: fd },
    { call: write(fd, value, value.length), ...reason },
    { call: close(fd), ...reason },
  ]
}

/** `below`: the directories to remove in each tree, the deepest first, the cgroup itself last. */
export const planCgroupDelete = (name: string, directories: readonly string[]): Plan => ({
  operation: `delete the cgroup ${name}`,
  steps: directories.map((path) => ({
    call: unlinkat(AT_FDCWD, path, AT_REMOVEDIR),
    why: `remove ${path}`,
    see: SEE,
    tolerate: ['ENOENT'],
  })),
})

export interface TreeWrite extends SettingWrite {
  readonly tree: Tree
}

export const planCgroupSet = (name: string, writes: readonly TreeWrite[]): Plan => ({
  operation: `set limits of the cgroup ${name}`,
  steps: writes.flatMap(({ tree, file, value, isEarly }): readonly Step[] => {
    const reason = {
      why: `set ${file} of ${name} to ${value}`,
      see: [tree.version === 1 ? `${V1}/` : `${V2} "${file}"`],
    }
    const [open, put, end] = setFile(directoryOf(tree), file, value, reason)
    if (open === undefined || put === undefined || end === undefined) return []
    // What comes next makes it possible.
    return [open, isEarly === true ? { ...put, tolerate: ['EINVAL', 'EBUSY'] } : put, end]
  }),
})

/** The process joins before it becomes the program, so that limits hold from its first instruction. */
export const planCgroupExec = (name: string, trees: readonly Tree[], command: Command): Plan => ({
  operation: `run ${command.args[0] ?? ''} in the cgroup ${name}`,
  steps: [
    // tasks: cgroup.procs of v1 waits for all who look at cgroups, 5 to 17 ms against 10 µs, and this process has one thread.
    ...trees.flatMap((tree) =>
      setFile(directoryOf(tree), tree.version === 1 ? TASKS : PROCS, '0', {
        why: `join ${name} in ${labelOf(tree)}`,
        see: SEE,
      }),
    ),
    ...planCommand(command),
  ],
})

export const planCgroupClassify = (name: string, trees: readonly Tree[], pids: readonly number[]): Plan => ({
  operation: `move processes into the cgroup ${name}`,
  steps: pids.flatMap((pid) =>
    trees.flatMap((tree) =>
      setFile(directoryOf(tree), PROCS, `${pid}`, {
        why: `move process ${pid} into ${name} in ${labelOf(tree)}`,
        see: SEE,
      }),
    ),
  ),
})

/** For the planners of containers. */
const pathsOf = (trees: readonly Tree[]): CgroupDirectories => ({
  paths: Object.fromEntries(
    trees.flatMap((tree) => (tree.version === 2 ? [''] : tree.controllers).map((name) => [name, directoryOf(tree)])),
  ),
})

export const planCgroupFreeze = (name: string, trees: readonly Tree[]): Plan => ({
  operation: `freeze the cgroup ${name}`,
  steps: planFreeze(pathsOf(trees)),
})

export const planCgroupThaw = (name: string, trees: readonly Tree[]): Plan => ({
  operation: `thaw the cgroup ${name}`,
  steps: planThaw(pathsOf(trees)),
})

/**
 * Frozen processes make no children, and keep their pids until they are let go; `pids` are those that were in it when the plan was made.
 * v2 kills a cgroup as a whole, which needs no list.
 */
export function planCgroupKill(name: string, trees: readonly Tree[], pids: readonly number[], signal: number): Plan {
  const cgroup = pathsOf(trees)
  const canFreeze = trees.some(({ version, controllers }) => version === 2 || controllers.includes('freezer'))
  const kill = planKillAll({ cgroup, signal, pids })
  return {
    operation: `kill what is in the cgroup ${name}`,
    steps: canFreeze ? [...planFreeze(cgroup), ...kill, ...planThaw(cgroup)] : kill,
  }
}
