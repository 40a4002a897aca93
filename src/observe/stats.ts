/**
 * Reads the account of a container from its cgroups.
 *
 * Each controller is read through the interface that its directory has, so one function serves cgroup v1, v2 and the hybrid of both: there the
 * controllers are v1, and pressure comes from v2.
 */

import type { Files } from '../base/files.ts'
import { noStats, type PartialStats, type Stats } from './accounting.ts'
import { readStatsV1 } from './stats-v1.ts'
import { readStatsV2 } from './stats-v2.ts'

/** The directory of a container for each controller; on v2 all are the same one. A key without a controller (`unified`) is welcome. */
export type CgroupPaths = Readonly<Record<string, string>>

/** Reads what there is; a controller without a directory counts 0. */
export function readStats(paths: CgroupPaths, files: Files): Stats {
  const directories = [...new Set(Object.values(paths))]
  const unified = directories.filter((directory) => files.status(`${directory}/cgroup.controllers`) !== undefined)
  const separate = Object.entries(paths).filter(([, directory]) => !unified.includes(directory))
  let stats = noStats()
  for (const directory of unified) stats = merge(stats, readStatsV2(directory, files))
  return merge(stats, readStatsV1(Object.fromEntries(separate), files))
}

function merge(stats: Stats, more: PartialStats): Stats {
  return {
    cpu: { ...stats.cpu, ...more.cpu },
    cpuset: { ...stats.cpuset, ...more.cpuset },
    memory: { ...stats.memory, ...more.memory },
    pids: { ...stats.pids, ...more.pids },
    blkio: { ...stats.blkio, ...more.blkio },
    hugetlb: more.hugetlb ?? stats.hugetlb,
    rdma: more.rdma ?? stats.rdma,
    misc: more.misc ?? stats.misc,
  }
}
