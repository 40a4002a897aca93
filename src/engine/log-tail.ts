/** The end of what a container has printed: its last lines, of a log of whatever size. */

import { LOG_FILE } from '../container/watched.ts'
import { must } from '../executor/embedded-call.ts'
import { close, openIfThere } from '../executor/embedded-files.ts'
import { O_RDONLY } from '../linux/files.ts'
import { containerPath, type Engine } from './place.ts'

/** struct record of native/output.h: its head, and the most that follows it. */
const HEAD_BYTES = 16
const MAX_RECORD_BYTES = 65_536
const TAIL_BYTES = 2 * (HEAD_BYTES + MAX_RECORD_BYTES)

/** At most `count` lines, the last of them last; none for a container that printed nothing, or keeps no log. */
export function lastLines({ machine, dataRoot }: Engine, id: string, count: number): readonly string[] {
  const { native, files } = machine
  const path = `${containerPath({ dataRoot }, id)}/${LOG_FILE}`
  const sizeBytes = files.status(path)?.sizeBytes ?? 0
  if (sizeBytes === 0) return []
  const bytes = new Uint8Array(Math.min(sizeBytes, TAIL_BYTES))
  const fd = openIfThere(native, path, O_RDONLY)
  if (fd === undefined) return []
  try {
    must(native, `read ${path}`, 'pread64', fd, bytes, bytes.length, sizeBytes - bytes.length)
  } finally {
    close(native, fd)
  }
  return native
    .decode(printedIn(bytes))
    .split('\n')
    .filter((line) => line !== '')
    .slice(-count)
}

/** What the records say that end with the piece: it may begin in the midst of one. */
export function printedIn(piece: Uint8Array): Uint8Array {
  for (let from = 0; from + HEAD_BYTES < piece.length; from++) {
    const parts = partsFrom(piece, from)
    if (parts !== undefined) return joined(parts)
  }
  return new Uint8Array()
}

/** Undefined unless records follow one another from here to the end. */
function partsFrom(piece: Uint8Array, from: number): readonly Uint8Array[] | undefined {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength)
  const parts: Uint8Array[] = []
  let at = from
  while (at < piece.length) {
    if (at + HEAD_BYTES > piece.length) return undefined
    const sizeBytes = view.getUint32(at, true)
    const stream = view.getUint32(at + 4, true)
    const end = at + HEAD_BYTES + sizeBytes
    if (sizeBytes === 0 || (stream !== 1 && stream !== 2) || end > piece.length) return undefined
    parts.push(piece.subarray(at + HEAD_BYTES, end))
    at = end
  }
  return parts
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
