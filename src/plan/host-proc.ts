/** Writes to /proc go through a descriptor that is procfs beyond doubt: SECURITY-CHECKS section 1, rule 3. */

import { buffer } from '../linux/call.ts'
import { AT_FDCWD, fstatfs, O_PATH, openat, PROC_SUPER_MAGIC } from '../linux/files.ts'
import type { Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

const STATFS = buffer('host-proc-statfs', 120)

export const openHostProc: readonly Step[] = [
  {
    call: openat(AT_FDCWD, '/proc', O_PATH),
    why: 'hold on to the procfs of the host',
    see: ['proc(5)'],
    into: HOST_PROC,
  },
  {
    call: fstatfs(HOST_PROC, STATFS),
    why: 'be sure that it is procfs',
    see: ['statfs(2)'],
    check: { in: STATFS, offset: 0, sizeBytes: 4, equals: PROC_SUPER_MAGIC, errno: 'ENODEV' },
  },
]
