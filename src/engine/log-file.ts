/**
 * The log of a container as its monitor writes it: records in `log`, older ones in `log.1`, `log.2`, ….
 *
 * A record has 16 bytes in front (native/output.h, struct record, native byte order): how many bytes follow, the stream (1 or 2), three of
 * nothing, and when they came, in nanoseconds since 1970.
 */

import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { LOG_FILE } from '../container/watched.ts'
import { attempt } from '../executor/embedded-call.ts'
import { close, openIfThere } from '../executor/embedded-files.ts'
import { O_RDONLY } from '../linux/files.ts'

const HEAD_BYTES = 16
/** More than the largest record, which is 64 KiB. */
const CHUNK_BYTES = 1 << 20

export interface Piece {
  readonly stream: number
  readonly nanos: bigint
  /** Only until the next piece is asked for. */
  readonly bytes: Uint8Array
}

/** The oldest first. */
export function logPaths(files: Files, directory: string): readonly string[] {
  const older = (files.list(directory) ?? []).flatMap((name) => {
    const number = /^log\.(\d+)$/.exec(name)?.[1]
    return number === undefined ? [] : [Number(number)]
  })
  const paths = older.sort((a, b) => b - a).map((number) => `${directory}/${LOG_FILE}.${number}`)
  return files.status(`${directory}/${LOG_FILE}`) === undefined ? paths : [...paths, `${directory}/${LOG_FILE}`]
}

/** Undefined for one that has another name by now, or is gone: the monitor renames them, the oldest away. */
export function openLog(native: Native, path: string): LogFile | undefined {
  const fd = openIfThere(native, path, O_RDONLY)
  return fd === undefined ? undefined : new LogFile(native, fd)
}

/** Reads one file of a log, as far as it goes now; what is appended later is read by asking again. */
export class LogFile {
  readonly #native: Native
  readonly #fd: number
  readonly #chunk = new Uint8Array(CHUNK_BYTES)
  readonly #view = new DataView(this.#chunk.buffer)
  /** What was read of it and not answered yet. */
  #from = 0
  #to = 0
  /** Of the first byte in the chunk. */
  #offset = 0

  constructor(native: Native, fd: number) {
    this.#native = native
    this.#fd = fd
  }

  get fd(): number {
    return this.#fd
  }

  /** Where the next piece begins. */
  get position(): number {
    return this.#offset + this.#from
  }

  set position(position: number) {
    this.#offset = position
    this.#from = this.#to = 0
  }

  /** Undefined if there is none yet; half a record is none. */
  next(): Piece | undefined {
    const bytes = this.#recordBytes()
    if (bytes === undefined) return undefined
    const at = this.#from
    this.#from += HEAD_BYTES + bytes
    return {
      stream: this.#chunk[at + 4] ?? 1,
      nanos: this.#view.getBigUint64(at + 8, true),
      bytes: this.#chunk.subarray(at + HEAD_BYTES, this.#from),
    }
  }

  /** As many pieces of one stream as are there, together: their heads are moved away, and nothing is looked at. */
  nextRun(): Pick<Piece, 'stream' | 'bytes'> | undefined {
    let bytes = this.#recordBytes()
    if (bytes === undefined) return undefined
    const stream = this.#chunk[this.#from + 4] ?? 1
    const start = this.#from
    let end = start
    while (bytes !== undefined && this.#chunk[this.#from + 4] === stream) {
      const body = this.#from + HEAD_BYTES
      this.#chunk.copyWithin(end, body, body + bytes)
      end += bytes
      this.#from = body + bytes
      bytes = this.#bytesInChunk()
    }
    return { stream, bytes: this.#chunk.subarray(start, end) }
  }

  close(): void {
    close(this.#native, this.#fd)
  }

  #recordBytes(): number | undefined {
    const bytes = this.#bytesInChunk()
    if (bytes !== undefined) return bytes
    this.#fill()
    return this.#bytesInChunk()
  }

  /** Of the next record, if it is in the chunk whole. */
  #bytesInChunk(): number | undefined {
    const left = this.#to - this.#from
    if (left < HEAD_BYTES) return undefined
    const bytes = this.#view.getUint32(this.#from, true)
    return left < HEAD_BYTES + bytes ? undefined : bytes
  }

  #fill(): void {
    this.#chunk.copyWithin(0, this.#from, this.#to)
    this.#offset += this.#from
    this.#to -= this.#from
    this.#from = 0
    while (this.#to < CHUNK_BYTES) {
      const room = this.#chunk.subarray(this.#to)
      const got = attempt(this.#native, 'pread64', this.#fd, room, room.length, this.#offset + this.#to)
      if (got <= 0) return
      this.#to += got
    }
  }
}
