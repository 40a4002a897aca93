/** Reaching someone who waits on a unix socket of the host: for a terminal, a seccomp listener, a pidfd. */

import { OperationError } from '../base/errors.ts'
import { utf8Length } from '../linux/bytes.ts'
import type { Slot } from '../linux/call.ts'
import { AF_UNIX, connect, SOCK_STREAM, socket, unixAddress } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'

const PATH_BYTES = 107

export interface Connection {
  readonly path: string
  /** Where the path comes from, as the caller knows it. */
  readonly field: string
  readonly into: Slot
  /** Completes "cannot …". */
  readonly why: string
}

/** Throws `invalid` for a path that does not fit into an address. */
export function planConnect({ path, field, into, why }: Connection): readonly Step[] {
  const see: readonly Ref[] = ['unix(7)']
  const length = utf8Length(path)
  if (length > PATH_BYTES)
    throw new OperationError({
      kind: 'invalid',
      operation: why,
      reason: `${field} has ${length} bytes, and the kernel takes ${PATH_BYTES}`,
      path,
      hint: 'use a shorter path, or one relative to the current directory',
      see,
    })
  return [
    { call: socket(AF_UNIX, SOCK_STREAM), why, see, into },
    { call: connect(into, unixAddress(path)), why: `${why} at ${path}`, see },
  ]
}
