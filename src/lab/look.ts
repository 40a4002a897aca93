/** What a checker looks at: the processes of a lab, their namespaces, and control groups. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { listEngineContainers } from '../engine/containers.ts'
import type { Engine } from '../engine/place.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { close, open } from '../executor/embedded-files.ts'
import { kernelName } from '../executor/embedded-process.ts'
import { O_RDONLY } from '../linux/files.ts'
import { readCgroupsOf } from '../observe/cgroup.ts'
import { listPids } from '../observe/netns.ts'
import { hasEnded, type ProcessStat, parsePids, readNamespaces, readProcessStat } from '../observe/process.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { NAMESPACE_FILES, NAMESPACE_FLAGS } from '../plan/namespaces.ts'
import { type Hierarchies, openHierarchies } from './hierarchies.ts'
import { type Rule, readRules } from './rules.ts'
import type { Started } from './state.ts'

export interface LabProcess extends ProcessStat {
  /** Of /proc/PID/ns. */
  readonly namespaces: ReadonlyMap<string, string>
  /** What tells several of a lab apart: NAME in its environment, or what follows `coffer-lab-LAB-` in the name of its container. */
  readonly label: string | undefined
}

/** A cgroup of one controller. */
export interface LabCgroup {
  readonly directory: string
  /** Of a file in it, without the newline at its end; empty if there is none. */
  readonly text: (file: string) => string
  readonly number: (file: string) => number
  /** A number behind a word in a file, such as `nr_throttled 7`. */
  readonly count: (file: string, word: string) => number
  readonly pids: readonly number[]
}

export interface Look {
  readonly native: Native
  readonly files: Files
  readonly started: Started
  /** Alive, without the one that looks; begun in the shell of the lab. */
  readonly processes: readonly LabProcess[]
  /** The cgroup below the root of the hierarchy of a controller, `v2` for that of v2; undefined if there is none. */
  readonly cgroup: (controller: string, name: string) => LabCgroup | undefined
  /** The one that a process is in. */
  readonly cgroupOf: (pid: number, controller: string) => LabCgroup | undefined
  /** Where the hierarchy of a controller is mounted, for the words of a checker. */
  readonly hierarchy: (controller: string) => string
  /** Answers what `read` sees in another namespace; undefined if that is gone. */
  readonly within: <T>(type: NamespaceType, path: string, read: () => T) => T | undefined
  /** The rules of nftables, which iptables makes as well, in the network namespace at `path`. */
  readonly rules: (path: string) => readonly Rule[]
  readonly hostnameOf: (process: LabProcess) => string | undefined
}

export const MARK = 'COFFER_LAB'

export const nameFor = (lab: string): string => `coffer-lab-${lab}`

/** Whether a container, cgroup or network namespace is called as those of the lab are: `coffer-lab-LAB`, or that and `-…`. */
export const isOfLab = (name: string, lab: string): boolean =>
  name === nameFor(lab) || name.startsWith(`${nameFor(lab)}-`)

export function lookAt(engine: Engine, name: string, started: Started): Look {
  const { native, files } = engine.machine
  const hierarchies = openHierarchies(native, files, name)
  const inside: Look['within'] = (type, path, read) => within(native, files, { type, path }, read)
  return {
    native,
    files,
    started,
    processes: labProcesses(engine, name, started),
    cgroup: (controller, path) => cgroupIn(files, hierarchies, controller, path),
    cgroupOf: (pid, controller) => {
      const found = readCgroupsOf(files, pid).find((one) =>
        controller === 'v2' ? one.version === 2 : one.controllers.includes(controller),
      )
      return found === undefined ? undefined : cgroupAt(files, `${found.mountPoint}${found.path}`)
    },
    hierarchy: (controller) => hierarchies.mountOf(controller) ?? `/sys/fs/cgroup/${controller}`,
    within: inside,
    rules: (path) => inside('network', path, () => readRules(native)) ?? [],
    hostnameOf: ({ pid }) => inside('uts', `/proc/${pid}/ns/uts`, () => kernelName(native).hostname),
  }
}

/**
 * Those with the mark in their environment, the first of each container of the lab, and those that come from them: a program may have been
 * given another environment.
 */
export function labProcesses(engine: Engine, name: string, { shell }: Started): readonly LabProcess[] {
  const { files } = engine.machine
  const containers = labContainers(engine, name)
  const self = Number(files.readLink('/proc/self'))
  const all = listPids(files).flatMap((pid) => {
    const stat = pid === self ? undefined : readProcessStat(files, pid)
    return stat === undefined || hasEnded(stat) ? [] : [{ stat, env: environmentOf(files, pid) }]
  })
  const ours = new Set(
    all
      .filter(
        ({ stat, env }) =>
          env.includes(`${MARK}=${name}`) ||
          containers.has(stat.pid) ||
          (stat.pid === shell.pid && stat.startTime === shell.startTime),
      )
      .map(({ stat }) => stat.pid),
  )
  for (let before = -1; before !== ours.size; ) {
    before = ours.size
    for (const { stat } of all) if (ours.has(stat.parentPid)) ours.add(stat.pid)
  }
  return all
    .filter(({ stat }) => ours.has(stat.pid))
    .map(({ stat, env }) => ({
      ...stat,
      namespaces: readNamespaces(files, stat.pid),
      label: containers.get(stat.pid) ?? env.find((entry) => entry.startsWith('NAME='))?.slice(5),
    }))
}

/** By the pid of their first process. */
const labContainers = (engine: Engine, name: string): ReadonlyMap<number, string> =>
  new Map(
    listEngineContainers(engine).flatMap((one): readonly (readonly [number, string])[] =>
      'pid' in one && isOfLab(one.record.name, name)
        ? [[one.pid, one.record.name.slice(nameFor(name).length + 1)]]
        : [],
    ),
  )

function environmentOf(files: Files, pid: number): readonly string[] {
  try {
    return (files.readText(`/proc/${pid}/environ`) ?? '').split('\0')
  } catch (error) {
    // A process of another user, or one that hides its memory, is none of the lab.
    if (error instanceof OperationError) return []
    throw error
  }
}

function cgroupIn(files: Files, hierarchies: Hierarchies, controller: string, path: string): LabCgroup | undefined {
  const mount = hierarchies.mountOf(controller)
  return mount === undefined ? undefined : cgroupAt(files, `${mount}/${path}`)
}

function cgroupAt(files: Files, directory: string): LabCgroup | undefined {
  if (files.status(directory) === undefined) return undefined
  const text = (file: string): string => (files.readText(`${directory}/${file}`) ?? '').trimEnd()
  return {
    directory,
    text,
    number: (file) => Number(text(file)),
    count: (file, word) => Number(new RegExp(`^${word} (\\d+)`, 'm').exec(text(file))?.[1] ?? 0),
    pids: parsePids(text('cgroup.procs')),
  }
}

/** This program is one thread, so it may go there and come back. setns(2) */
function within<T>(
  native: Native,
  files: Files,
  { type, path }: { readonly type: NamespaceType; readonly path: string },
  read: () => T,
): T | undefined {
  if (files.status(path) === undefined) return undefined
  const home = open(native, `/proc/self/ns/${NAMESPACE_FILES[type]}`, O_RDONLY)
  const there = open(native, path, O_RDONLY)
  try {
    if (attempt(native, 'setns', there, NAMESPACE_FLAGS[type]) < 0) return undefined
    try {
      return read()
    } finally {
      must(native, 'come back from a namespace', 'setns', home, NAMESPACE_FLAGS[type])
    }
  } finally {
    close(native, there)
    close(native, home)
  }
}
