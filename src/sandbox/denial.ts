/** What a container was denied, as its caller is told. */

import { errnoName } from '../linux/errno.ts'
import { syscallName } from '../linux/syscalls.ts'

export interface Denial {
  readonly what: 'file' | 'system call' | 'host'
  /** A path as the container has it, a system call, or `host:port`. */
  readonly name: string
  /** The pid is that of this machine; `command` is what the process calls itself, up to 15 bytes. */
  readonly process?: { readonly pid: number; readonly command: string }
  /** What the process was answered: `EPERM`, `EACCES` or `EROFS` for files. */
  readonly errno: string
  readonly time: Date
}

/** Records of native/denials.c out of a stream of bytes: denials, and how many more there were that nobody has written down. */
export function readDenials(
  take: (denial: Denial) => void,
  drop: (count: number) => void,
): (bytes: Uint8Array) => void {
  let rest = new Uint8Array(0)
  return (bytes) => {
    const all = new Uint8Array(rest.length + bytes.length)
    all.set(rest)
    all.set(bytes, rest.length)
    const view = new DataView(all.buffer)
    let at = 0
    while (at + HEAD_BYTES <= all.length) {
      const size = view.getUint32(at, true)
      if (at + size > all.length) break
      const dropped = Number(view.getBigUint64(at + DROPPED, true))
      if (dropped > 0) drop(dropped)
      const denial = denialOf(new DataView(all.buffer, at, size))
      if (denial !== undefined) take(denial)
      at += size
    }
    rest = all.slice(at)
  }
}

/** struct record: bytes, what, arch, number, error, pid (4 each); nanos at 24, dropped at 32 (8 each); command at 40, path at 56. */
const HEAD_BYTES = 56
const DROPPED = 32
const SYSTEM_CALL = 1
const FILE_CALL = 2

function denialOf(record: DataView): Denial | undefined {
  const what = record.getUint32(4, true)
  if (what !== SYSTEM_CALL && what !== FILE_CALL) return undefined
  const errno = errnoName(record.getInt32(16, true))
  const process = { pid: record.getUint32(20, true), command: textIn(record, 40, 16) }
  const time = new Date(Number(record.getBigUint64(24, true) / 1_000_000n))
  if (what === FILE_CALL)
    return { what: 'file', name: textIn(record, HEAD_BYTES, record.byteLength - HEAD_BYTES), process, errno, time }
  return {
    what: 'system call',
    name: callOf(record.getUint32(8, true), record.getInt32(12, true)),
    process,
    errno,
    time,
  }
}

function textIn(record: DataView, at: number, size: number): string {
  const bytes = new Uint8Array(record.buffer, record.byteOffset + at, size)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** By the value of AUDIT_ARCH_: seccomp/architectures.ts. Programs of 32 bits have numbers of their own. */
const ARCHITECTURES = { 3221225534: 'x86_64', 1073741827: 'x86', 3221225655: 'aarch64', 1073741864: 'arm' } as const

function callOf(arch: number, number: number): string {
  const architecture = ARCHITECTURES[arch as keyof typeof ARCHITECTURES]
  const isX32 = architecture === 'x86_64' && number >= 0x4000_0000
  const name = architecture === undefined ? undefined : syscallName(isX32 ? 'x32' : architecture, number)
  return name ?? `${number}`
}
