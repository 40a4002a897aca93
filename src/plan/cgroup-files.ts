/** Writing to the files of a cgroup: one open, then one write a value, as each write(2) is one setting to the kernel. */

import { OperationError } from '../base/errors.ts'
import { type Slot, sizeOf, slot } from '../linux/call.ts'
import { type DirFd, O_RDONLY, O_WRONLY, openat, write } from '../linux/files.ts'
import type { Directory } from './cgroup-place.ts'
import type { Ref, Step } from './plan.ts'

/** Why a setting is made, and where that is documented. */
export interface Reason {
  readonly why: string
  readonly see: readonly Ref[]
}

export const V1 = 'kernel:admin-guide/cgroup-v1'
export const V2 = 'kernel:admin-guide/cgroup-v2.rst'

/** A slot is named after the file: a file of a controller is opened once in a plan. */
export const fileSlot = (file: string): Slot => slot(file)

export const openFile = ({ at, path }: Directory, file: string, { why, see }: Reason): Step => ({
  call: openat(at, `${path}/${file}`, O_WRONLY),
  why,
  see,
  into: fileSlot(file),
})

export const putValue = (file: string, value: string, { why, see }: Reason): Step => ({
  call: write(fileSlot(file), value, sizeOf(value)),
  why,
  see,
})

/** Sets a file to a value, or to several one after the other. */
export const setFile = (
  directory: Directory,
  file: string,
  values: string | readonly string[],
  reason: Reason,
): readonly Step[] => [
  openFile(directory, file, reason),
  ...(typeof values === 'string' ? [values] : values).map((value) => putValue(file, value, reason)),
]

/** The same for a file that a kernel may lack; `otherwise` is done instead. */
export const setFileIfThere = (
  directory: Directory,
  file: string,
  values: string | readonly string[],
  reason: Reason,
  otherwise?: readonly Step[],
): readonly Step[] => {
  const [open, ...writes] = setFile(directory, file, values, reason)
  const branch = otherwise === undefined ? {} : { otherwise }
  return open === undefined ? [] : [{ ...open, tolerate: ['ENOENT'], then: writes, ...branch }]
}

/** Opens a file to read it; the slot is `into`. */
export const openToRead = (at: DirFd, path: string, into: Slot, { why, see }: Reason): Step => ({
  call: openat(at, path, O_RDONLY),
  why,
  see,
  into,
})

/** "cannot apply linux.resources.memory.limit: <reason>". */
export function refuseLimit(kind: 'invalid' | 'unsupported', field: string, reason: string, hint?: string): never {
  throw new OperationError({
    kind,
    operation: `apply linux.resources.${field}`,
    reason,
    ...(hint === undefined ? {} : { hint }),
  })
}
