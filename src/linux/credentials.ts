/** Who a process is and what it may do, as far as setresuid(2) does not say it. Source: credentials(7), capabilities(7) */

import { packU32 } from './bytes.ts'
import type { Call, Slot } from './call.ts'
import type { CapabilityMask } from './capabilities.ts'

export interface CapabilitySets {
  readonly effective: CapabilityMask
  readonly permitted: CapabilityMask
  readonly inheritable: CapabilityMask
}

export const LINUX_CAPABILITY_VERSION_3 = 0x2008_0522

/**
 * Sets three of the five capability sets of the caller.
 *
 * struct __user_cap_header_struct: version, pid; two of struct __user_cap_data_struct, the second one for capabilities from 32 on:
 * effective, permitted, inheritable; 4 bytes each. capset(2)
 */
export const capset = ({ effective, permitted, inheritable }: CapabilitySets): Call => ({
  name: 'capset',
  args: [
    packU32([LINUX_CAPABILITY_VERSION_3, 0]),
    packU32([effective.low, permitted.low, inheritable.low, effective.high, permitted.high, inheritable.high]),
  ],
})

/** The owner of what `fd` is open on; the group stays as it is. fchown(2) */
export const fchownUser = (fd: Slot | number, uid: number): Call => ({ name: 'fchown', args: [fd, uid, -1] })

/** Execution domains: kernel:include/uapi/linux/personality.h */
export const PERSONALITIES = { LINUX: 0, LINUX32: 8 } as const

/** personality(2) */
export const personality = (domain: keyof typeof PERSONALITIES): Call => ({
  name: 'personality',
  args: [PERSONALITIES[domain]],
})
