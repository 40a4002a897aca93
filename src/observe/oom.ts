/**
 * Out of memory: how often the kernel killed for a cgroup's limit, and how to be told.
 *
 * To watch is: follow the steps of `oomWatch` with the calls of the embedded engine, poll the one descriptor that comes of them, and read
 * `oomKills` each time it is ready. The watch is over when `isEmpty` holds.
 */

import type { Files } from '../base/files.ts'
import { parseCounts } from './count.ts'

/**
 * What makes a descriptor that becomes readable when the kernel kills for want of memory.
 *
 * | version | steps                                                                                                                     |
 * |---------|---------------------------------------------------------------------------------------------------------------------------|
 * | 1       | `eventfd2`, open `eventFile`, write `registration(eventfd, fd)` to `controlFile`; the eventfd is read as 8 bytes, and is also |
 * |         | signalled when the cgroup is removed. kernel:admin-guide/cgroup-v1/memory.rst "OOM Control"                               |
 * | 2       | `inotify_init1`, `inotify_add_watch(file, IN_MODIFY)` for each of `files`; reads are of struct inotify_event, whose content  |
 * |         | does not matter. kernel:admin-guide/cgroup-v2.rst "memory.events", "cgroup.events"                                        |
 */
export type OomWatch =
  | {
      readonly version: 1
      readonly eventFile: string
      readonly controlFile: string
      readonly registration: (eventFd: number, fileFd: number) => string
    }
  | { readonly version: 2; readonly files: readonly string[] }

export const IN_MODIFY = 2

/** Undefined if the memory controller has no directory among `paths`. */
export function oomWatch(paths: Readonly<Record<string, string>>, files: Files): OomWatch | undefined {
  const memory = memoryDirectory(paths, files)
  if (memory === undefined) return undefined
  const { directory, version } = memory
  // On v2 the second file changes when the last process is gone; nothing tells of the removal itself.
  if (version === 2) return { version, files: [`${directory}/memory.events`, `${directory}/cgroup.events`] }
  return {
    version,
    eventFile: `${directory}/memory.oom_control`,
    controlFile: `${directory}/cgroup.event_control`,
    registration: (eventFd, fileFd) => `${eventFd} ${fileFd}`,
  }
}

/**
 * How many processes were killed since the making of the cgroup, by any OOM killer; 0 where the cgroup is gone.
 *
 * On v1 only kills in this very cgroup count, on v2 those in cgroups below it too.
 */
export function oomKills(paths: Readonly<Record<string, string>>, files: Files): number {
  const memory = memoryDirectory(paths, files)
  if (memory === undefined) return 0
  const file = memory.version === 1 ? 'memory.oom_control' : 'memory.events'
  return parseOomKills(files.readText(`${memory.directory}/${file}`) ?? '')
}

/** The line `oom_kill <count>` of memory.oom_control and of memory.events. */
export const parseOomKills = (text: string): number => Number(parseCounts(text).get('oom_kill') ?? 0)

/**
 * Whether no process is left in the container's cgroups, so that no event can come any more; a cgroup that is gone is empty.
 *
 * On v2 processes in cgroups below count too. False where there is no cgroup to ask.
 */
export function isEmpty(paths: Readonly<Record<string, string>>, files: Files): boolean {
  const directories = Object.values(paths)
  return directories.length > 0 && directories.every((directory) => isEmptyCgroup(directory, files))
}

function isEmptyCgroup(directory: string, files: Files): boolean {
  const events = files.readText(`${directory}/cgroup.events`)
  if (events !== undefined) return parseCounts(events).get('populated') === 0
  return (files.readText(`${directory}/cgroup.procs`) ?? '') === ''
}

function memoryDirectory(
  paths: Readonly<Record<string, string>>,
  files: Files,
): { readonly directory: string; readonly version: 1 | 2 } | undefined {
  const directory = paths.memory ?? paths.unified ?? paths['']
  if (directory === undefined) return undefined
  if (files.status(`${directory}/memory.oom_control`) !== undefined) return { directory, version: 1 }
  if (files.status(`${directory}/memory.events`) !== undefined) return { directory, version: 2 }
  return undefined
}
