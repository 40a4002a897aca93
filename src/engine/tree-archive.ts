/** The files of a directory as a tar archive, and those of an archive into a directory. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { read, writeAll } from '../executor/embedded-files.ts'
import { BLOCK, padded, type TarEntry } from '../image/tar.ts'
import { entryOf, namedOf } from '../image/tar-entry.ts'
import { broken, cutOff, readHeader } from '../image/tar-header.ts'
import { Global, isExtension, MAX_RECORD_BYTES, Records, type Found as TarFound } from '../image/tar-records.ts'
import { tarEnd, tarHeader } from '../image/tar-write.ts'
import type { Found } from './tree-read.ts'
import { copyBytes, type TreeWriter } from './tree-write.ts'

/** Writes entries one after another to a descriptor. */
export class ArchiveWriter {
  readonly #native: Native
  readonly #fd: number
  sizeBytes = 0

  constructor(native: Native, fd: number) {
    this.#native = native
    this.#fd = fd
  }

  /** A file has the size that it was found with: what it grew meanwhile is left out, and what it lost is zeros. */
  add(entry: TarEntry, content: Found['content']): void {
    const path = entry.kind === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path
    this.#write(tarHeader({ ...entry, path }, this.#native.encode))
    if (content === undefined) return
    const copied = copyBytes(this.#native, content, entry.sizeBytes, (bytes) => this.#write(bytes))
    for (let left = padded(entry.sizeBytes) - copied; left > 0; left -= ZEROS.length)
      this.#write(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
  }

  end(): void {
    this.#write(tarEnd())
  }

  #write(bytes: Uint8Array): void {
    writeAll(this.#native, this.#fd, bytes)
    this.sizeBytes += bytes.length
  }
}

const ZEROS = new Uint8Array(65_536)

/** Makes what the archive says; answers its size in bytes. Throws `invalid` for one that is damaged, or leads out of the directory. */
export function extractArchive(native: Native, fd: number, writer: TreeWriter): number {
  const source = new Source(native, fd)
  const global = new Global()
  for (;;) {
    const found = nextEntry(source, global, native.decode)
    if (found === undefined) break
    const { entry, storedBytes } = found
    let left = storedBytes
    const take = (to: (bytes: Uint8Array) => void): void => {
      for (; left > 0; ) {
        const bytes = source.some(left)
        left -= bytes.length
        to(bytes)
      }
    }
    if (entry !== undefined) writer.put(entry, (to) => take((bytes) => writeAll(native, to, bytes)))
    take(() => undefined)
    source.skip(padded(storedBytes) - storedBytes)
  }
  writer.end()
  source.drain()
  return source.sizeBytes
}

interface Next {
  /** Undefined for what nobody can make, and for the directory itself. */
  readonly entry: TarEntry | undefined
  readonly storedBytes: number
}

/** Undefined at the end of the archive. */
function nextEntry(source: Source, global: Global, decode: Native['decode']): Next | undefined {
  const records = new Records(global, decode)
  for (;;) {
    const block = source.block()
    const header = block === undefined ? undefined : readHeader(block, decode)
    if (block === undefined || header === undefined) return undefined
    if (!isExtension(header.type)) return nextOf({ block, header, records })
    if (header.sizeBytes > MAX_RECORD_BYTES) throw broken(`a header has more than ${MAX_RECORD_BYTES} bytes`)
    records.add(header.type, source.exactly(padded(header.sizeBytes)).subarray(0, header.sizeBytes))
  }
}

function nextOf(found: TarFound): Next {
  refuseSparse(found)
  const { path: written, kind, sizeBytes } = namedOf(found)
  const path = pathOf(written)
  const storedBytes = kind === 'file' || kind === undefined ? sizeBytes : 0
  if (kind === undefined || path === '') return { entry: undefined, storedBytes }
  const entry = entryOf(found, { path, kind }, { sizeBytes: storedBytes })
  return { storedBytes, entry: kind === 'link' ? { ...entry, target: pathOf(entry.target) } : entry }
}

function refuseSparse({ header, records }: TarFound): void {
  const sizes = [records.number('GNU.sparse.realsize'), records.number('GNU.sparse.size')]
  if (header.type !== 'S' && sizes.every((size) => size === undefined)) return
  throw new OperationError({
    kind: 'unsupported',
    operation: 'read the tar archive',
    reason: `${header.path} is a sparse file`,
    hint: 'make the archive without --sparse',
  })
}

function pathOf(text: string): string {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (!parts.includes('..')) return parts.join('/')
  throw new OperationError({
    kind: 'invalid',
    operation: 'read the tar archive',
    reason: `it has an entry ${JSON.stringify(text)}, which leads out of the directory`,
  })
}

const CHUNK_BYTES = 1 << 18

/** The bytes of a descriptor in pieces of the size that the reader wants. */
class Source {
  readonly #native: Native
  readonly #fd: number
  readonly #chunk = new Uint8Array(CHUNK_BYTES)
  #from = 0
  #to = 0
  sizeBytes = 0

  constructor(native: Native, fd: number) {
    this.#native = native
    this.#fd = fd
  }

  /** Undefined at the end. */
  block(): Uint8Array | undefined {
    if (this.#from === this.#to && !this.#fill()) return undefined
    return this.exactly(BLOCK)
  }

  /** A copy. */
  exactly(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      const piece = this.some(length - at)
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  /** At least one byte; until the next call. */
  some(length: number): Uint8Array {
    if (this.#from === this.#to && !this.#fill()) throw cutOff()
    const piece = this.#chunk.subarray(this.#from, Math.min(this.#to, this.#from + length))
    this.#from += piece.length
    return piece
  }

  skip(length: number): void {
    for (let left = length; left > 0; ) left -= this.some(left).length
  }

  /** Who writes into a pipe shall not meet its end. */
  drain(): void {
    while (this.#fill());
  }

  #fill(): boolean {
    this.#to = read(this.#native, this.#fd, this.#chunk)
    this.#from = 0
    this.sizeBytes += this.#to
    return this.#to > 0
  }
}
