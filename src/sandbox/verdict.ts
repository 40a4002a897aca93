/** Why a command ended, in one word. */

import type { Usage } from './account.ts'
import type { ExactLimits } from './limits.ts'

/**
 * | verdict     | the command                                                                         |
 * |-------------|-------------------------------------------------------------------------------------|
 * | `ok`        | ended with status 0                                                                 |
 * | `failed`    | ended with another status                                                           |
 * | `killed`    | was ended by a signal: its own, that of the caller, or of somebody else             |
 * | `wall-time` | ran longer than limits.wallClockMs                                                  |
 * | `cpu-time`  | used more than limits.cpuTimeMs                                                     |
 * | `memory`    | met limits.memory, and a process of it was killed for that; `outOfMemory` has more  |
 * | `pids`      | met limits.pids, and did not end well                                               |
 * | `output`    | wrote more than limits.outputBytes                                                  |
 * | `disk`      | wrote more than limits.diskBytes, and did not end well                              |
 */
export type Verdict = 'ok' | 'failed' | 'killed' | 'wall-time' | 'cpu-time' | 'memory' | 'pids' | 'output' | 'disk'

/** What the caller of the kernel ended it for. */
export type Ended = 'output' | 'cpu-time' | 'aborted' | undefined

export interface Ending {
  readonly exitCode: number | undefined
  /** The number of the signal. */
  readonly signal: number | undefined
  readonly ended: Ended
  readonly isTimeOver: boolean
  readonly isDiskFull: boolean
  readonly usage: Usage
  readonly limits: ExactLimits
}

const SIGXCPU = 24
const SIGXFSZ = 25

export function verdictOf({ exitCode, signal, ended, isTimeOver, isDiskFull, usage, limits }: Ending): Verdict {
  if (ended === 'output' || ended === 'cpu-time') return ended
  if (isTimeOver) return 'wall-time'
  if (ended === 'aborted') return 'killed'
  if (exitCode === 0) return 'ok'
  if (usage.outOfMemoryKills > 0) return 'memory'
  if (signal === SIGXCPU || (limits.cpuTimeMs !== undefined && usage.cpuMs > limits.cpuTimeMs)) return 'cpu-time'
  if (signal === SIGXFSZ || exitCode === 128 + SIGXFSZ || isDiskFull) return 'disk'
  if (usage.pidsRefused > 0) return 'pids'
  return signal === undefined ? 'failed' : 'killed'
}
