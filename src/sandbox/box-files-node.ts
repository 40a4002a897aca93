/**
 * The files of a box, from outside.
 *
 * Paths are the box's: each is resolved once, as a process whose root directory is that of the box would, never through a magic link of
 * procfs, and then only its descriptor is used (SECURITY-CHECKS S17, S18). What is no regular file is not opened.
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Buffer as PlanBuffer, type Slot, slot, text } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  mkdirat,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_NOCTTY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  openat,
  openat2,
  openInRoot,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  readAt,
  S_IFMT,
  S_IFREG,
  STATX_BASIC_STATS,
  statx,
  write,
} from '../linux/files.ts'
import { openHostProc } from '../plan/host-proc.ts'
import type { Ref, Step } from '../plan/plan.ts'
import { HOST_PROC } from '../plan/slots.ts'
import type { BoxState } from './box-state.ts'
import { type Entry, parseEntries } from './directory-entries.ts'
import { checkWord, invalid } from './options.ts'

/** The files of a box, as its processes see them. Paths begin with a slash; links do not lead out of the box. */
export interface BoxFiles {
  /** The bytes of a regular file; rejects if it has more than `maxBytes`. */
  readonly read: (path: string, options?: ReadOptions) => Promise<Uint8Array>
  /** The same as text in UTF-8. */
  readonly readText: (path: string, options?: ReadOptions) => Promise<string>
  /** Writes a regular file, new or in place of what it had; some of it, if a signal ends that. */
  readonly write: (path: string, content: string | Uint8Array, options?: WriteOptions) => Promise<void>
  /** The entries of a directory, without `.` and `..`, in no order; at most some ten thousand. */
  readonly list: (path: string) => Promise<readonly Entry[]>
  /** Makes a directory, whose parent exists. */
  readonly makeDirectory: (path: string, options?: { readonly mode?: number | undefined }) => Promise<void>
}

export interface ReadOptions {
  /** Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** Rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

export interface WriteOptions {
  /** For a new file only. Default 0o644. */
  readonly mode?: number | undefined
  /** Rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

const ROOT = slot('box-root')
const FILE = slot('box-file')
const OPENED = slot('box-opened')
const LENGTH = slot('box-length')
const SEE: readonly Ref[] = ['openat2(2)', 'proc_pid_root(5)']
const MAX_READ_BYTES = 64 * 1024 * 1024
/** A frame of the executor holds 16 MiB: native/wire.h. */
const CHUNK_BYTES = 8 * 1024 * 1024

export function filesOf(box: BoxState): BoxFiles {
  const read: BoxFiles['read'] = async (path, { maxBytes = MAX_READ_BYTES, signal } = {}) => {
    checkPath(path)
    return box.during(`read ${path} of ${box.id}`, () => readFile(box, { path, maxBytes, signal }))
  }
  return {
    read,
    readText: async (path, options) => Buffer.from(await read(path, options)).toString('utf8'),
    write: async (path, content, { mode = 0o644, signal } = {}) => {
      checkPath(path)
      const bytes = typeof content === 'string' ? Buffer.from(content) : content
      return box.during(`write ${path} of ${box.id}`, () => writeFile(box, { path, bytes, mode, signal }))
    },
    list: async (path) => {
      checkPath(path)
      return box.during(`list ${path} of ${box.id}`, () => listDirectory(box, path))
    },
    makeDirectory: async (path, { mode = 0o755 } = {}) => {
      checkPath(path)
      return box.during(`make ${path} in ${box.id}`, () => makeDirectory(box, path, mode))
    },
  }
}

function checkPath(path: string): void {
  checkWord('path', path)
  if (!path.startsWith('/')) throw invalid(`path is ${JSON.stringify(path)}`, 'begin it with a slash')
}

/** The pid is not used again while this runs: BoxState.during. */
const openRoot = ({ initPid, id }: BoxState): readonly Step[] => [
  ...openHostProc,
  { call: openat(HOST_PROC, `${initPid}/root`, O_PATH), why: `reach the root of ${id}`, see: SEE, into: ROOT },
]

const STATUS = buffer('box-status', 256)
const STATX_MODE = 28

const beRegular = (fd: Slot, path: string): Step => ({
  call: statx(fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, STATUS),
  why: `be sure that ${path} is a regular file`,
  see: ['statx(2)'],
  check: { in: STATUS, offset: STATX_MODE, sizeBytes: 2, mask: S_IFMT, equals: S_IFREG, errno: 'EINVAL' },
})

interface Reading {
  readonly path: string
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
}

/** Not atomic: a file that is written meanwhile may come in parts of before and after. */
async function readFile(box: BoxState, { path, maxBytes, signal }: Reading): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    signal?.throwIfAborted()
    const chunk = await readChunk(box, path, length)
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) throw tooLong(box, path, maxBytes)
    if (chunk.length < CHUNK.sizeBytes) return Buffer.concat(chunks)
  }
}

const CHUNK: PlanBuffer = buffer('box-chunk', 1024 * 1024)

async function readChunk(box: BoxState, path: string, offset: number): Promise<Uint8Array> {
  const operation = `read ${path} of ${box.id}`
  const at = { why: operation, see: SEE }
  const report = await box.machine.executor.run({
    operation,
    steps: [
      ...openRoot(box),
      { call: openInRoot(ROOT, path, O_PATH), ...at, into: FILE },
      beRegular(FILE, path),
      { call: openat(HOST_PROC, text('self/fd/', FILE), O_RDONLY | O_NONBLOCK), ...at, into: OPENED },
      { call: readAt(OPENED, CHUNK, offset), ...at, into: LENGTH },
    ],
    returns: [LENGTH],
    reads: [CHUNK],
  })
  return report.bytes(CHUNK).subarray(0, report.slot(LENGTH))
}

const tooLong = ({ id }: BoxState, path: string, maxBytes: number): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `read ${path} of ${id}`,
    reason: `it has more than ${maxBytes} bytes`,
    path,
    hint: 'give maxBytes, or read it in a command: box.spawn',
  })

interface Writing {
  readonly path: string
  readonly bytes: Uint8Array
  readonly mode: number
  readonly signal: AbortSignal | undefined
}

async function writeFile(box: BoxState, { path, bytes, mode, signal }: Writing): Promise<void> {
  const operation = `write ${path} of ${box.id}`
  const at = { why: operation, see: SEE }
  for (let from = 0; from === 0 || from < bytes.length; from += CHUNK_BYTES) {
    signal?.throwIfAborted()
    const chunk = bytes.subarray(from, from + CHUNK_BYTES)
    const isFirst = from === 0
    // Not O_TRUNC: what it is has to be known first.
    const flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | (isFirst ? O_CREAT : O_APPEND)
    await box.machine.executor.run({
      operation,
      steps: [
        ...openRoot(box),
        {
          call: openat2(ROOT, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, isFirst ? mode : 0),
          ...at,
          into: FILE,
        },
        beRegular(FILE, path),
        ...(isFirst
          ? [{ call: openat(HOST_PROC, text('self/fd/', FILE), O_WRONLY | O_TRUNC), ...at, into: FILE }]
          : []),
        ...(chunk.length === 0 ? [] : [writeAll(chunk, at.why)]),
      ],
    })
  }
}

const writeAll = (chunk: Uint8Array, why: string): Step => ({
  call: write(FILE, chunk, chunk.length),
  why,
  see: ['write(2)'],
  check: { result: chunk.length, errno: 'ENOSPC' },
})

const ENTRIES: PlanBuffer = buffer('box-entries', 4 * 1024 * 1024)

async function listDirectory(box: BoxState, path: string): Promise<readonly Entry[]> {
  const operation = `list ${path} of ${box.id}`
  const at = { why: operation, see: ['getdents64(2)', ...SEE] }
  const report = await box.machine.executor.run({
    operation,
    steps: [
      ...openRoot(box),
      { call: openInRoot(ROOT, path, O_RDONLY | O_DIRECTORY[box.machine.host.architecture]), ...at, into: FILE },
      { call: { name: 'getdents64', args: [FILE, ENTRIES, ENTRIES.sizeBytes] }, ...at, into: LENGTH },
      {
        call: { name: 'getdents64', args: [FILE, buffer('box-more', 512), 512] },
        why: 'be sure that this is all of it',
        see: ['getdents64(2)'],
        check: { result: 0, errno: 'EOVERFLOW' },
      },
    ],
    returns: [LENGTH],
    reads: [ENTRIES],
  })
  return parseEntries(report.bytes(ENTRIES).subarray(0, report.slot(LENGTH)))
}

async function makeDirectory(box: BoxState, path: string, mode: number): Promise<void> {
  const operation = `make ${path} in ${box.id}`
  const at = { why: operation, see: ['mkdir(2)', ...SEE] }
  const [, parent = '/', name = ''] = /^(.*?)\/*([^/]+)\/*$/.exec(path) ?? []
  if (name === '' || name === '.' || name === '..') throw invalid(`path is ${JSON.stringify(path)}`, 'name a directory')
  await box.machine.executor.run({
    operation,
    steps: [
      ...openRoot(box),
      { call: openInRoot(ROOT, parent === '' ? '/' : parent, O_PATH), ...at, into: FILE },
      { call: mkdirat(FILE, name, mode), ...at },
    ],
  })
}
