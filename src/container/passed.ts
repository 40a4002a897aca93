/** Descriptors of the caller that a container is to have: those of LISTEN_FDS and of --preserve-fds, from 3 on. */

import { OperationError } from '../base/errors.ts'
import { attempt } from '../executor/embedded-call.ts'
import { F_GETFD } from '../linux/files.ts'
import type { Machine } from './machine.ts'

const FIRST_PASSED = 3

export interface Passed {
  readonly listenFds: number
  readonly preserveFds: number
}

/**
 * Throws `invalid` if one of them is not open. To be asked before coffer opens anything for itself: a number that the caller does not have
 * open would come to name a descriptor of coffer, which the container would get.
 */
export function checkPassed({ native }: Machine, passed: Passed): Passed {
  const count = passed.listenFds + passed.preserveFds
  for (let fd = FIRST_PASSED; fd < FIRST_PASSED + count; fd++)
    if (attempt(native, 'fcntl', fd, F_GETFD, 0) < 0)
      throw new OperationError({
        kind: 'invalid',
        operation: `pass descriptor ${fd} on to the container`,
        reason: 'the caller does not have it open',
        hint: `--preserve-fds is ${passed.preserveFds} and LISTEN_FDS ${passed.listenFds}, so that descriptors 3 to ${FIRST_PASSED + count - 1} have to be open`,
        see: ['sd_listen_fds(3)'],
      })
  return passed
}
