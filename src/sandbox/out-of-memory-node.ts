/** Which process was killed as memory was out: the kernel says so in its log alone. kernel:mm/oom_kill.c, dump_header */

import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { Usage } from './account.ts'
import type { ExactLimits } from './limits.ts'

export interface OutOfMemory {
  /** Undefined for a caller that may not read the log of the kernel. */
  readonly process: { readonly name: string /** As this machine counts. */; readonly pid: number } | undefined
  readonly peakBytes: number | undefined
  readonly limitBytes: number | undefined
}

export interface OomQuestion {
  /** The last part of the path of the cgroup. */
  readonly cgroup: string
  readonly usage: Usage
  readonly limits: ExactLimits
}

export function outOfMemoryOf({ cgroup, usage, limits }: OomQuestion): OutOfMemory {
  return { process: killedIn(cgroup), peakBytes: usage.peakMemoryBytes, limitBytes: limits.memory }
}

/** `oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/a/b,task=python3,pid=4711,uid=0`; the last one is the one that ended it. */
function killedIn(cgroup: string): OutOfMemory['process'] {
  let found: OutOfMemory['process']
  for (const record of kernelLog()) {
    const [, path = '', name, pid] = /oom-kill:.*,task_memcg=([^,]*),task=(.*),pid=(\d+),uid=/.exec(record) ?? []
    if (name !== undefined && path.split('/').includes(cgroup)) found = { name, pid: Number(pid) }
  }
  return found
}

const MAX_RECORD_BYTES = 8192

/** One record a read(2); kernel:Documentation/ABI/testing/dev-kmsg. */
function* kernelLog(): Generator<string> {
  let fd: number
  try {
    fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    // Not there, or not for this caller: EACCES, EPERM, ENOENT.
    return
  }
  try {
    const bytes = Buffer.alloc(MAX_RECORD_BYTES)
    for (;;) {
      const count = readRecord(fd, bytes)
      if (count === 0) return
      if (count > 0) yield bytes.toString('utf8', 0, count)
    }
  } finally {
    closeSync(fd)
  }
}

/** 0 at the end of the log, -1 for records that were overwritten meanwhile (EPIPE). */
function readRecord(fd: number, bytes: Buffer): number {
  try {
    return readSync(fd, bytes)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPIPE') return -1
    return 0
  }
}
