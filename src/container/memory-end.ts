/** How memory had a part in the end of a container: to be asked while its cgroup is there. */

import type { Integer64 } from '../base/integer.ts'
import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC, clockNanos } from '../executor/embedded-process.ts'
import { parseOomVictims } from '../observe/kernel-log.ts'
import { oomKills } from '../observe/oom.ts'
import { parseProcessStat } from '../observe/process.ts'
import { readStats } from '../observe/stats.ts'
import { INIT_FILE } from '../plan/state.ts'
import type { Machine } from './machine.ts'
import type { Container } from './store.ts'

export interface MemoryEnd {
  /** How many processes the kernel has killed. */
  readonly kills: number
  /** The most that all processes used together; undefined where the kernel does not say (v2 before 5.19). */
  readonly peakBytes?: number
  /** Undefined without one of its own. */
  readonly limitBytes?: number
  /** Those that the kernel's log still has, the latest last, at most 8; none for who may not read it. */
  readonly victims: readonly MemoryVictim[]
}

export interface MemoryVictim {
  readonly name: string
  readonly pid: number
  /** Undefined where coffer sees other pids than the kernel's log. */
  readonly isInit?: boolean
  /** The limit was that of a cgroup above, whose path this is, or `machine` for none at all. */
  readonly limitedBy?: string
}

const MAX_VICTIMS = 8

/** Undefined if nothing was killed for want of memory, and for a container without a cgroup. */
export function memoryEnd(machine: Machine, container: Container): MemoryEnd | undefined {
  const paths = container.record?.cgroup.paths ?? {}
  const kills = oomKills(paths, machine.files)
  if (kills === 0) return undefined
  const { memory } = readStats(paths, machine.files).memory
  const limitBytes = bytes(memory.limitBytes)
  const peakBytes = bytes(memory.maxUsageBytes)
  return {
    kills,
    ...(peakBytes === undefined || peakBytes === 0 ? {} : { peakBytes }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    victims: victimsOf(machine, container, paths.memory ?? paths.unified ?? paths[''] ?? ''),
  }
}

/** A limit that is none is beyond what a number holds. */
const bytes = (value: Integer64): number | undefined => (typeof value === 'number' ? value : undefined)

/** The name of its cgroup tells the container from others, the time from an earlier one of that name. */
function victimsOf({ native, files }: Machine, { directory }: Container, cgroup: string): readonly MemoryVictim[] {
  const name = cgroup.slice(cgroup.lastIndexOf('/') + 1)
  const text = files.readText(`${directory}/${INIT_FILE}`)
  if (name === '' || text === undefined || text === '') return []
  const init = parseProcessStat(text)
  const begin = init.startTime / TICKS_PER_SECOND - sleptSeconds(native) - SLACK_SECONDS
  const seesAllPids = files.readLink('/proc/self/ns/pid') === FIRST_PID_NAMESPACE
  return parseOomVictims(kernelLog(native))
    .filter((one) => one.cgroup.split('/').includes(name) && (one.atSeconds ?? begin) >= begin)
    .slice(-MAX_VICTIMS)
    .map((one) => ({
      name: one.name,
      pid: one.pid,
      ...(seesAllPids ? { isInit: one.pid === init.pid } : {}),
      ...(one.limitedBy === undefined
        ? { limitedBy: 'machine' }
        : one.limitedBy.split('/').includes(name)
          ? {}
          : { limitedBy: one.limitedBy }),
    }))
}

/** Of times in /proc/PID/stat: USER_HZ. */
const TICKS_PER_SECOND = 100
/** The clock of the log is read on each CPU, and runs a little apart from others. */
const SLACK_SECONDS = 1
/** kernel:include/linux/proc_ns.h PROC_PID_INIT_INO */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]'

/** Start times count the sleep of the machine, the log does not. */
const sleptSeconds = (native: Native): number =>
  (clockNanos(native, CLOCK_BOOTTIME) - clockNanos(native, CLOCK_MONOTONIC)) / 1_000_000_000

const SYSLOG_ACTION_READ_ALL = 3
const LOG_BYTES = 512 * 1024

/** The end of the kernel's log; empty for who may not read it. syslog(2) */
function kernelLog(native: Native): string {
  const log = new Uint8Array(LOG_BYTES)
  const got = attempt(native, 'syslog', SYSLOG_ACTION_READ_ALL, log, log.length)
  return got <= 0 ? '' : native.decode(log, 0, got)
}
