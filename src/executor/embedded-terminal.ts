/** The terminal of the front program: its size, and raw mode. ioctl_tty(2) */

import type { Native } from '../base/native.ts'
import { must, mustUnless } from './embedded-call.ts'

const TCGETS = 0x5401
const TCSETS = 0x5402
const TIOCGWINSZ = 0x5413
const TIOCSWINSZ = 0x5414

/** struct termios of the kernel: c_iflag, c_oflag, c_cflag, c_lflag (4 bytes each), c_line (1), c_cc (19). */
const TERMIOS_BYTES = 36
const CONTROL_CHARACTERS = 17
const VTIME = 5
const VMIN = 6

/** The settings of a terminal, as the kernel packs them. */
export type TerminalSettings = Uint8Array

export interface TerminalSize {
  readonly rows: number
  readonly columns: number
}

export const isTerminal = (native: Native, fd: number): boolean => terminalSettings(native, fd) !== undefined

/** Undefined if `fd` is no terminal. */
export function terminalSettings(native: Native, fd: number): TerminalSettings | undefined {
  const settings = new Uint8Array(TERMIOS_BYTES)
  // A descriptor that is closed is no terminal either; some devices answer ENOTTY as EINVAL: tty_ioctl(4), isatty(3).
  const options = {
    native,
    operation: `read the terminal at descriptor ${fd}`,
    expected: ['ENOTTY', 'EINVAL', 'EBADF'],
  } as const
  return mustUnless(options, 'ioctl', fd, TCGETS, settings) === undefined ? undefined : settings
}

export function setTerminal(native: Native, fd: number, settings: TerminalSettings): void {
  must(native, `set the terminal at descriptor ${fd}`, 'ioctl', fd, TCSETS, settings)
}

// include/uapi/asm-generic/termbits.h
const IGNBRK = 0o1
const BRKINT = 0o2
const PARMRK = 0o10
const ISTRIP = 0o40
const INLCR = 0o100
const IGNCR = 0o200
const ICRNL = 0o400
const IXON = 0o2000
const OPOST = 0o1
const ONLCR = 0o4
const CSIZE = 0o60
const CS8 = 0o60
const PARENB = 0o400
const ISIG = 0o1
const ICANON = 0o2
const ECHO = 0o10
const ECHONL = 0o100
const IEXTEN = 0o100000

/**
 * These settings without any processing of what is typed: cfmakeraw(3), but for what is printed. A new line goes back to the first column
 * here, so that the terminal of the container does not have to see to it: newlineSettings.
 */
export function rawSettings(settings: TerminalSettings): TerminalSettings {
  const raw = settings.slice()
  const view = new DataView(raw.buffer)
  const clear = (offset: number, flags: number): void => clearFlags(view, offset, flags)
  clear(0, IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON)
  clear(8, CSIZE | PARENB)
  view.setUint32(8, view.getUint32(8, true) | CS8, true)
  clear(12, ECHO | ECHONL | ICANON | ISIG | IEXTEN)
  raw[CONTROL_CHARACTERS + VMIN] = 1
  raw[CONTROL_CHARACTERS + VTIME] = 0
  return raw
}

/** The same, and what is printed as it is: for a terminal in front of one that has sent the carriage returns already. cfmakeraw(3) */
export function transparentSettings(settings: TerminalSettings): TerminalSettings {
  const raw = rawSettings(settings)
  clearFlags(new DataView(raw.buffer), 4, OPOST)
  return raw
}

/** These settings with a new line as it is, so that what passes through two terminals has no second carriage return; as runc has them. */
export function newlineSettings(settings: TerminalSettings): TerminalSettings {
  const plain = settings.slice()
  clearFlags(new DataView(plain.buffer), 4, ONLCR)
  return plain
}

const clearFlags = (view: DataView, offset: number, flags: number): void =>
  view.setUint32(offset, (view.getUint32(offset, true) & ~flags) >>> 0, true)

/** struct winsize: rows, columns, and two sizes in pixels that nobody fills; 2 bytes each. Undefined if `fd` is no terminal. */
export function terminalSize(native: Native, fd: number): TerminalSize | undefined {
  const size = new Uint16Array(4)
  const options = {
    native,
    operation: `read the size of the terminal at descriptor ${fd}`,
    expected: ['ENOTTY', 'EINVAL', 'EBADF'],
  } as const
  if (mustUnless(options, 'ioctl', fd, TIOCGWINSZ, size) === undefined) return undefined
  const [rows = 0, columns = 0] = size
  return { rows, columns }
}

/** The kernel tells the foreground process of the terminal with SIGWINCH. */
export function setTerminalSize(native: Native, fd: number, { rows, columns }: TerminalSize): void {
  const size = Uint16Array.of(rows, columns, 0, 0)
  must(native, `set the size of the terminal at descriptor ${fd}`, 'ioctl', fd, TIOCSWINSZ, size)
}
