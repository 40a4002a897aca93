/** Pseudo-terminals. Source: pty(7), ioctl_tty(2) */

import type { Call, Slot } from './call.ts'
import { ioctl, O_CLOEXEC, O_NOCTTY, O_RDWR } from './files.ts'

/** include/uapi/asm-generic/ioctls.h, the same on x86_64 and aarch64. */
const TIOCSCTTY = 0x540e
const TIOCSWINSZ = 0x5414
const TIOCSPTLCK = 0x4004_5431
const TIOCGPTPEER = 0x5441

export const DEVPTS_SUPER_MAGIC = 0x1cd1

/** Lets the slave of this master be opened. TIOCSPTLCK(2const) */
export const unlockSlave = (master: Slot): Call => ioctl(master, TIOCSPTLCK, new Uint8Array(4))

/** Opens the slave of this master, whatever is at its path by now. Linux 4.13. TIOCGPTPEER(2const) */
export const openSlave = (master: Slot): Call => ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)

/** In characters, 0 to 65535. */
export interface WindowSize {
  readonly height: number
  readonly width: number
}

/** struct winsize: rows, columns, and two of pixels; 2 bytes each. TIOCSWINSZ(2const) */
export function setWindowSize(terminal: Slot | number, { height, width }: WindowSize): Call {
  const size = new DataView(new ArrayBuffer(8))
  size.setUint16(0, height, true)
  size.setUint16(2, width, true)
  return ioctl(terminal, TIOCSWINSZ, new Uint8Array(size.buffer))
}

/** Makes a terminal the controlling one of the caller's session, if it leads one and has none. TIOCSCTTY(2const) */
export const takeTerminal = (terminal: Slot | number): Call => ioctl(terminal, TIOCSCTTY, 0)
