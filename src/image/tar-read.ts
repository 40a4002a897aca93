/**
 * Reads a tar archive as it streams by: ustar, pax, and GNU with its long names and sparse files.
 *
 * Source: POSIX.1-2017 pax; GNU tar manual, "Basic Tar Format"
 */

import { ByteSource } from './byte-source.ts'
import { BLOCK, padded, type TarEntry } from './tar.ts'
import { entryOf, namedOf } from './tar-entry.ts'
import { broken, cutOff, type Decode, type Header, readHeader } from './tar-header.ts'
import { type Found, Global, isExtension, MAX_RECORD_BYTES, Records } from './tar-records.ts'
import { sparseOf } from './tar-sparse.ts'

export interface ReadEntry extends TarEntry {
  /** The bytes of a file without its holes, in chunks. To be read before the next entry; what is left is passed over. */
  readonly content: () => AsyncGenerator<Uint8Array>
}

/** Throws `invalid` for an archive that is damaged or cut off. */
export async function* readTar(chunks: AsyncIterable<Uint8Array>, decode: Decode): AsyncGenerator<ReadEntry> {
  const source = new ByteSource(chunks)
  const global = new Global()
  for (;;) {
    const found = await nextHeader(source, global, decode)
    if (found === undefined) return
    const { entry, stored } = await placedOf(source, found)
    const content = { left: stored }
    if (entry !== undefined) yield { ...entry, content: () => chunksOf(source, content) }
    if (!(await source.skip(content.left + padded(stored) - stored))) throw cutOff()
  }
}

async function* chunksOf(source: ByteSource, content: { left: number }): AsyncGenerator<Uint8Array> {
  while (content.left > 0) {
    const piece = await source.some(content.left)
    if (piece.length === 0) throw cutOff()
    content.left -= piece.length
    yield piece
  }
}

async function nextHeader(source: ByteSource, global: Global, decode: Decode): Promise<Found | undefined> {
  const records = new Records(global, decode)
  for (;;) {
    const block = await source.exactly(BLOCK)
    if (block.length > 0 && block.length < BLOCK) throw cutOff()
    const header = block.length === 0 ? undefined : readHeader(block, decode)
    if (header === undefined) return undefined
    if (!isExtension(header.type)) return { block, header, records }
    records.add(header.type, await bodyOf(source, header))
  }
}

async function bodyOf(source: ByteSource, { sizeBytes }: Header): Promise<Uint8Array> {
  if (sizeBytes > MAX_RECORD_BYTES) throw broken(`a header has more than ${MAX_RECORD_BYTES} bytes`)
  // A copy: the records outlive the chunk.
  const body = (await source.exactly(padded(sizeBytes))).slice()
  if (body.length < padded(sizeBytes)) throw cutOff()
  return body.subarray(0, sizeBytes)
}

interface Placed {
  /** Undefined for a kind that nobody can make, such as the label of a volume. */
  readonly entry: TarEntry | undefined
  /** How many bytes of content follow. */
  readonly stored: number
}

async function placedOf(source: ByteSource, found: Found): Promise<Placed> {
  const { path, kind, sizeBytes } = namedOf(found)
  if (kind === undefined) return { entry: undefined, stored: sizeBytes }
  const sparse = kind === 'file' ? await sparseOf(source, found, sizeBytes) : undefined
  const stored = kind === 'file' ? (sparse?.left ?? sizeBytes) : 0
  return { stored, entry: entryOf(found, { path, kind }, sparse ?? { sizeBytes: stored }) }
}

/** A piece of a file, and where in the file it is. */
export interface Piece {
  readonly bytes: Uint8Array
  readonly offset: number
}

/** The content of a file without its holes, piece by piece. */
export async function* piecesOf({ content, extents, sizeBytes }: ReadEntry): AsyncGenerator<Piece> {
  const places = (extents ?? [{ offset: 0, sizeBytes }])[Symbol.iterator]()
  let [offset, left] = [0, 0]
  for await (const chunk of content()) {
    for (let at = 0; at < chunk.length; ) {
      while (left === 0) {
        const { value, done } = places.next()
        if (done === true) throw broken('a file has more content than it says')
        offset = value.offset
        left = value.sizeBytes
      }
      const bytes = chunk.subarray(at, at + left)
      yield { bytes, offset }
      at += bytes.length
      offset += bytes.length
      left -= bytes.length
    }
  }
}
