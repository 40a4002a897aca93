/** The capabilities of a process. Source: capabilities(7); kernel:include/uapi/linux/capability.h. */

import type { Words } from '../base/words.ts'

/** A capability by the kernel's name. */
export type Capability = Words<typeof table>

/**
 * A set of capabilities as capget(2) and capset(2) take it: two 32-bit words, because 41 bits do not fit into one.
 *
 * | word   | capabilities                                    |
 * |--------|-------------------------------------------------|
 * | `low`  | bit i is capability i, `CAP_CHOWN` is bit 0     |
 * | `high` | bit i is capability 32 + i                      |
 */
export interface CapabilityMask {
  readonly low: number
  readonly high: number
}

/** The highest capability that this table knows; a kernel says its own in /proc/sys/kernel/cap_last_cap. */
export const lastCapability = 40

/** The bit of a capability, 0 to 40. */
export function capabilityBit(name: Capability): number {
  return names.indexOf(name)
}

/** The capability of a bit, or undefined for a bit that this table does not know. */
export function capabilityName(bit: number): Capability | undefined {
  return names[bit] as Capability | undefined
}

/** Whether `name` is a capability in the kernel's spelling. */
export function isCapability(name: string): name is Capability {
  return names.includes(name)
}

/** All of them, by bit. */
export function allCapabilities(): readonly Capability[] {
  return names as readonly Capability[]
}

/** The set of these capabilities; names may repeat. */
export function capabilityMask(capabilities: readonly Capability[]): CapabilityMask {
  let low = 0
  let high = 0
  for (const capability of capabilities) {
    const bit = capabilityBit(capability)
    if (bit < 32) low |= 1 << bit
    else high |= 1 << (bit - 32)
  }
  return { low: low >>> 0, high: high >>> 0 }
}

/** The capabilities of a set, by bit; bits without a name are left out. */
export function capabilitiesIn(mask: CapabilityMask): readonly Capability[] {
  return allCapabilities().filter((_, bit) => hasBit(mask, bit))
}

/** Whether a set has the capability with this bit. */
export function hasBit({ low, high }: CapabilityMask, bit: number): boolean {
  return (bit < 32 ? (low >>> bit) & 1 : (high >>> (bit - 32)) & 1) === 1
}

/** What both sets have. */
export function intersectMasks(a: CapabilityMask, b: CapabilityMask): CapabilityMask {
  return { low: (a.low & b.low) >>> 0, high: (a.high & b.high) >>> 0 }
}

/** The set that /proc/PID/status prints as 16 hexadecimal digits, `CapEff:	000001ffffffffff`. */
export function parseCapabilityMask(hex: string): CapabilityMask {
  return { low: Number.parseInt(hex.slice(-8), 16), high: Number.parseInt(`0${hex.slice(0, -8)}`, 16) }
}

// By bit.
const table =
  'CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE'

const names: readonly string[] = table.split(' ')
