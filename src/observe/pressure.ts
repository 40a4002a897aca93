/** Pressure stall information: how long processes waited for a resource. kernel:accounting/psi.rst */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'

/** Shares of the last 10, 60 and 300 seconds in percent, and the sum since the start. */
export interface Stall {
  readonly avg10: number
  readonly avg60: number
  readonly avg300: number
  readonly totalMicros: number
}

export interface Pressure {
  /** Some process waited. */
  readonly some: Stall
  /** All processes that could run waited; kernels before 5.13 do not say so of the CPU. */
  readonly full?: Stall
}

export type PressureResource = 'cpu' | 'memory' | 'io'

/**
 * The pressure on `resource` in a cgroup v2 directory; undefined where the kernel keeps no account of it.
 *
 * A kernel with PSI compiled in but off shows the files, and refuses to open them (EOPNOTSUPP).
 */
export function readPressure(files: Files, cgroup: string, resource: PressureResource): Pressure | undefined {
  try {
    return parsePressure(files.readText(`${cgroup}/${resource}.pressure`) ?? '')
  } catch (error) {
    if (error instanceof OperationError && error.code === 'EOPNOTSUPP') return undefined
    throw error
  }
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and such a line for `full`; undefined for an empty text. */
export function parsePressure(text: string): Pressure | undefined {
  const some = stallOf(text, 'some')
  if (some === undefined) return undefined
  const full = stallOf(text, 'full')
  return { some, ...(full === undefined ? {} : { full }) }
}

function stallOf(text: string, who: 'some' | 'full'): Stall | undefined {
  const found = new RegExp(`^${who} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, 'm').exec(text)
  if (found === null) return undefined
  const [, avg10, avg60, avg300, total] = found
  return { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), totalMicros: Number(total) }
}
