/**
 * Whoever asked for a plan may be killed while it runs. What was made for it then would be nobody's: the caller of `create` that sees it die
 * deletes the container, perhaps before there is one to delete.
 *
 * So a plan looks before it takes the name of a container, and again before the program can start: the second look fails the plan, and so
 * takes everything back. Behind it the container is as whole as after an answer, and `delete` finds it.
 */

import { ppollBroken } from '../linux/poll.ts'
import type { Step } from './plan.ts'

/** The executor's descriptor for reports: native/executor.c. */
const REPORTS = 4

export const seeCaller: Step = {
  call: ppollBroken(REPORTS),
  why: 'have somebody who waits for the answer',
  // A pipe without a reader has an error: fs/pipe.c, pipe_poll.
  see: ['ppoll(2)', 'pipe(7)'],
  check: { result: 0, errno: 'EPIPE' },
}
