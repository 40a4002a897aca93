/** The clock. clock_gettime(2) */

import type { Buffer, Call } from './call.ts'

const CLOCK_MONOTONIC = 1
/** struct timespec: seconds at 0, nanoseconds at 8; 8 bytes each. */
export const TIMESPEC_BYTES = 16
/** Writes the time since some moment as a struct timespec. */
export const monotonicTime = (into: Buffer): Call => ({ name: 'clock_gettime', args: [CLOCK_MONOTONIC, into] })
