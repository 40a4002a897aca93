/** Files over node:fs, for Node and Bun. */

import { closeSync, openSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs'
import { bug, OperationError } from '../base/errors.ts'
import type { FileStatus, Files } from '../base/files.ts'
import { systemError } from '../linux/system-error.ts'
import { isGone, kindOfMode, MAX_FILE_BYTES } from './files.ts'

export function nodeFiles(): Files {
  return {
    readText: (path, limitBytes) => {
      const bytes = attempt(`read ${path}`, path, () => readAll(path))
      return bytes === undefined ? undefined : textOf(bytes.subarray(0, limitBytes))
    },
    readBytes: (path) => attempt(`read ${path}`, path, () => readAll(path)),
    list: (path) => attempt(`list ${path}`, path, () => readdirSync(bytesOf(path), { encoding: 'buffer' }).map(textOf)),
    readLink: (path) => attempt(`read the link ${path}`, path, () => linkOf(path)),
    status: (path) => attempt(`look at ${path}`, path, () => status(path)),
  }
}

/** Files that are read again and again, as those of a cgroup are. */
export interface KeptFiles extends Pick<Files, 'readText'> {
  readonly close: () => void
}

/** Opens each once, also one that is absent then: opening, reading to the end and closing takes six times as long as reading alone. */
export function keepFiles(): KeptFiles {
  const kept = new Map<string, number | undefined>()
  let isClosed = false
  const opened = (path: string): number | undefined => {
    if (isClosed || kept.has(path)) return kept.get(path)
    const fd = attempt(`open ${path}`, path, () => openSync(bytesOf(path), 'r'))
    kept.set(path, fd)
    return fd
  }
  return {
    readText: (path, limitBytes) => {
      const fd = opened(path)
      if (fd === undefined) return undefined
      const bytes = attempt(`read ${path}`, path, () => readFromStart(fd))
      return bytes === undefined ? undefined : textOf(bytes.subarray(0, limitBytes))
    },
    close: () => {
      isClosed = true
      for (const fd of kept.values()) if (fd !== undefined) closeSync(fd)
      kept.clear()
    },
  }
}

/** What such a file says comes whole, so that less than there is room for is all: fs/seq_file.c, seq_read_iter. */
function readFromStart(fd: number): Uint8Array {
  let bytes = Buffer.allocUnsafe(1024)
  for (let length = 0; ; ) {
    length += readSync(fd, bytes, length, bytes.length - length, length)
    if (length < bytes.length) return bytes.subarray(0, length)
    bytes = Buffer.concat([bytes, Buffer.allocUnsafe(bytes.length * 3)])
  }
}

function linkOf(path: string): string | undefined {
  try {
    return textOf(readlinkSync(bytesOf(path), { encoding: 'buffer' }))
  } catch (error) {
    // readlink(2): what is there is no symbolic link.
    if ((error as { readonly code?: unknown }).code === 'EINVAL') return undefined
    throw error
  }
}

/** Not readFileSync: it would read a device without end. */
function readAll(path: string): Uint8Array {
  const fd = openSync(bytesOf(path), 'r')
  try {
    let bytes = Buffer.allocUnsafe(16_384)
    let length = 0
    for (;;) {
      const count = readSync(fd, bytes, length, bytes.length - length, null)
      if (count === 0) return new Uint8Array(bytes.subarray(0, length))
      length += count
      if (length > MAX_FILE_BYTES) {
        throw new OperationError({
          kind: 'invalid',
          operation: `read ${path}`,
          reason: 'it has more than 64 MiB',
          path,
        })
      }
      if (length === bytes.length) bytes = Buffer.concat([bytes, Buffer.allocUnsafe(bytes.length * 3)])
    }
  } finally {
    closeSync(fd)
  }
}

function status(path: string): FileStatus | undefined {
  // Most of what is asked for is absent, and an exception for each takes time.
  const found = statSync(bytesOf(path), { bigint: true, throwIfNoEntry: false })
  if (found === undefined) return undefined
  const mode = Number(found.mode)
  const kind = kindOfMode(mode)
  if (kind === undefined) throw bug(`${path} is of a type that stat(2) does not know: ${mode}`)
  return {
    kind,
    mode: mode & 0o7777,
    uid: Number(found.uid),
    gid: Number(found.gid),
    links: Number(found.nlink),
    sizeBytes: Number(found.size),
    device: { major: majorOf(found.rdev), minor: minorOf(found.rdev) },
    identity: `${majorOf(found.dev)}:${minorOf(found.dev)}:${found.ino}`,
  }
}

/** dev_t as the C library packs it: makedev(3) of glibc, bits/sysmacros.h. */
const majorOf = (device: bigint): number => Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n))
const minorOf = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n))

function attempt<Result>(operation: string, path: string, read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    if (!isSystemError(error)) throw error
    if (isGone(error.code)) return undefined
    throw systemError({ operation, syscall: error.syscall, code: error.code, path, cause: error })
  }
}

const isSystemError = (error: unknown): error is { readonly code: string; readonly syscall: string } =>
  error instanceof Error && 'code' in error && 'syscall' in error && !(error instanceof OperationError)

// Names of files are bytes. One that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, and is taken back on the way to the kernel,
// as the embedded engine does it (PEP 383), so that a name that was listed can be opened.

const hasEscape = /[\udc80-\udcff]/u

export function bytesOf(path: string): Buffer {
  if (!hasEscape.test(path)) return Buffer.from(path)
  return Buffer.concat(
    Array.from(path, (character) => {
      const code = character.charCodeAt(0)
      return character.length === 1 && code >= 0xdc80 && code <= 0xdcff
        ? Buffer.from([code & 0xff])
        : Buffer.from(character)
    }),
  )
}

/** Bytes that are no UTF-8 become lone surrogates, which bytesOf turns back: base/native.ts. */
export function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  return text.includes('\ufffd') ? escapedTextOf(bytes) : text
}

function escapedTextOf(bytes: Uint8Array): string {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    const character = decodedOrUndefined(strict, bytes.subarray(at, at + length))
    text += character ?? String.fromCharCode(0xdc00 | first)
    at += character === undefined ? 1 : length
  }
  return text
}

function decodedOrUndefined(strict: TextDecoder, bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}
