/** Network interfaces by ioctl(2). Source: netdevice(7) */

import { utf8 } from './bytes.ts'
import type { Call, Slot } from './call.ts'
import { ioctl } from './files.ts'

const SIOCSIFFLAGS = 0x8914
const IFREQ_BYTES = 40
const IFNAMSIZ = 16
export const IFF_UP = 1
export const IFF_RUNNING = 0x40

/** Sets all flags of an interface, so it is for one whose flags are known. struct ifreq: name (16 bytes), flags (2 bytes), unused. */
export function setInterfaceFlags(socket: Slot, name: string, flags: number): Call {
  const request = new Uint8Array(IFREQ_BYTES)
  request.set(utf8(name).subarray(0, IFNAMSIZ - 1))
  new DataView(request.buffer).setUint16(IFNAMSIZ, flags, true)
  return ioctl(socket, SIOCSIFFLAGS, request)
}
