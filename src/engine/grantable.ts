/** What `--privileged` and `--cap-add ALL` are. */

import { effectiveCapabilities } from '../executor/embedded-process.ts'
import { allCapabilities, type Capability, capabilitiesIn } from '../linux/capabilities.ts'
import type { Engine } from './place.ts'

/** Nobody has more than the caller, but for a user namespace of its own: there it has all that the kernel knows. user_namespaces(7) */
export function grantableCapabilities({ machine, host }: Pick<Engine, 'machine' | 'host'>): readonly Capability[] {
  const { isRootless, lastCapability } = host()
  return isRootless
    ? allCapabilities().slice(0, lastCapability + 1)
    : capabilitiesIn(effectiveCapabilities(machine.native))
}
