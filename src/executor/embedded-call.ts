/** System calls that the front program makes itself, by name, with failures as OperationError. */

import { bug, type OperationError } from '../base/errors.ts'
import type { Native, NativeArgument } from '../base/native.ts'
import { type Errno, errnoName, errnoNumber } from '../linux/errno.ts'
import { type Architecture, callNumber } from '../linux/numbers.ts'
import { systemError } from '../linux/system-error.ts'

export const architectureOf = (native: Native): Architecture => native.architecture

/** Makes a call; answers its result, or `-errno`. */
export function attempt(native: Native, name: string, ...args: readonly NativeArgument[]): number {
  const number = callNumber(name, native.architecture)
  if (number === undefined) throw bug(`${name} is not in linux/numbers.ts`)
  return native.syscall(number, ...args)
}

const EINTR = 4

/** Makes a call, and again while a signal interrupts it; throws what the kernel refuses. `operation` completes "cannot …". */
export function must(native: Native, operation: string, name: string, ...args: readonly NativeArgument[]): number {
  for (;;) {
    const result = attempt(native, name, ...args)
    if (result >= 0) return result
    // close(2) has closed even if it was interrupted; a second one might hit a new descriptor with the same number.
    if (result !== -EINTR || name === 'close') throw failure(operation, name, result, args)
  }
}

/** As `must`, but answers undefined for one of the `expected` errnos. */
export function mustUnless(
  { native, operation, expected }: { native: Native; operation: string; expected: readonly Errno[] },
  name: string,
  ...args: readonly NativeArgument[]
): number | undefined {
  for (;;) {
    const result = attempt(native, name, ...args)
    if (result >= 0) return result
    if (expected.some((errno) => errnoNumber(errno) === -result)) return undefined
    if (result !== -EINTR) throw failure(operation, name, result, args)
  }
}

/** The error of a call that answered `result`; its path is the first text among the arguments. */
export function failure(
  operation: string,
  name: string,
  result: number,
  args: readonly NativeArgument[] = [],
): OperationError {
  const path = args.find((argument) => typeof argument === 'string')
  return systemError({ operation, syscall: name, code: errnoName(-result), ...(path === undefined ? {} : { path }) })
}
