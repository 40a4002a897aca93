/** Plans that the executor does not take. It ends without a word when it is given one, and with it all plans beside: so none is sent. */

import { OperationError } from '../base/errors.ts'
import { MAX_PLAN_BYTES, NONE } from './wire.ts'

/** Throws `invalid`: what makes a plan that large is a configuration of thousands of parts, or of a path of thousands of names. */
export function refuseTooLarge(what: 'steps' | 'operations' | 'bytes', count: number): void {
  const most = what === 'bytes' ? MAX_PLAN_BYTES : NONE - 1
  if (count <= most) return
  throw new OperationError({
    kind: 'invalid',
    operation: 'make a plan of the configuration',
    reason: `it would have ${count} ${what}, and the executor takes ${most}`,
    hint: 'have fewer mounts, devices and masked paths, or shorter paths',
  })
}
