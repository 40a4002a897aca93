/** A cgroup by name in the hierarchies of this machine. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { nameInV2 } from '../linux/cgroup.ts'
import { listCgroupsBelow, readCgroupLayout } from '../observe/cgroup.ts'
import { directoryOf, type Tree } from '../plan/cgroup-tool.ts'

export const CONTROLLER_FLAG: Flag = {
  name: 'controller',
  short: 'c',
  type: 'list',
  value: 'NAME,...',
  help: 'in the hierarchies of these controllers alone; without it in all',
}

/** Of the whole machine, without one that has a name and no controller: systemd keeps its services there. */
export function allTrees(files: Files, path: string, wanted: readonly string[] = []): readonly Tree[] {
  const { hierarchies, available } = readCgroupLayout(files)
  const names = wanted.map(v1Name)
  const trees = hierarchies.flatMap(({ version, controllers, mountPoint, readonly }): readonly Tree[] => {
    if (readonly || (version === 1 && controllers.every((name) => name.startsWith('name=')))) return []
    const has = version === 2 ? available : controllers
    if (
      names.length > 0 &&
      !has.map(v1Name).some((name) => names.includes(name)) &&
      !(version === 2 && names.includes(''))
    )
      return []
    const handed = version === 2 && names.length > 0 ? available.filter((name) => names.includes(v1Name(name))) : has
    return [{ version, controllers: handed, mountPoint, path }]
  })
  const missing = names.find((name) => !trees.some(({ controllers }) => controllers.map(v1Name).includes(name)))
  if (missing === undefined || missing === '') return trees
  throw new OperationError({
    kind: 'unsupported',
    operation: `use the controller ${missing}`,
    reason: 'no hierarchy of this machine has it',
    hint: `there are: ${hierarchies.flatMap(({ version, controllers }) => (version === 2 ? available : controllers)).join(' ')}`,
    see: ['cgroups(7)'],
  })
}

/** io and blkio are one controller; v2 has no other name that differs. */
const v1Name = (name: string): string => (nameInV2('blkio') === name ? 'blkio' : name)

export const wantedControllers = (given: Parsed): readonly string[] =>
  given.list('controller').flatMap((words) => words.split(',').map((word) => word.replace(/^(v2|unified)$/, '')))

/** A path below the root of each hierarchy: no dots, no empty part. Throws `invalid`. */
export function cgroupName(word: string | undefined, tool: string): string {
  if (word === undefined) throw usage(tool, 'it takes the name of a cgroup', `${tool} NAME`)
  const name = word.replace(/^\/+|\/+$/g, '')
  if (name.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\n'))) return name
  throw usage(tool, `the name is "${word}", and it has to be a path without dots below the root of the hierarchies`)
}

/** The trees in which the cgroup is. Throws `missing` if it is in none. */
export function treesOf(files: Files, name: string, wanted: readonly string[] = []): readonly Tree[] {
  const trees = allTrees(files, name, wanted).filter((tree) => files.status(directoryOf(tree)) !== undefined)
  if (trees.length > 0) return trees
  throw new OperationError({
    kind: 'missing',
    operation: `find the cgroup ${name}`,
    reason: 'no hierarchy has one of that name',
    hint: `make it: coffer cgroup create ${name}; or see what there is: coffer cgroup list`,
    see: ['cgroups(7)'],
  })
}

/** In all trees, each once, those below the cgroup as well. */
export function pidsIn(files: Files, trees: readonly Tree[]): readonly number[] {
  const pids = new Set<number>()
  for (const tree of trees) {
    const directory = directoryOf(tree)
    for (const path of [directory, ...listCgroupsBelow(files, directory)])
      for (const pid of pidsAt(files, path)) pids.add(pid)
  }
  return [...pids].sort((a, b) => a - b)
}

export const pidsAt = (files: Files, directory: string): readonly number[] =>
  (files.readText(`${directory}/cgroup.procs`) ?? '').split('\n').filter(Boolean).map(Number)
