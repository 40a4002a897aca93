/** What a configuration may ask for and coffer does not do: refused, as a container must not run with less than it was given. */

import { OperationError } from '../base/errors.ts'
import type { Linux } from '../oci/linux.ts'

/** Throws `unsupported`, naming the field. Source: oci:runtime-spec/config.md#valid-values */
export function refuseUnsupported({ intelRdt }: Linux): void {
  if (intelRdt !== undefined) refuse('linux.intelRdt', 'divide cache and memory bandwidth', 'take it out')
}

function refuse(field: string, operation: string, hint: string): never {
  throw new OperationError({
    kind: 'unsupported',
    operation,
    reason: `coffer does not do what ${field} asks for`,
    hint,
    see: ['oci:runtime-spec/config-linux.md'],
  })
}
