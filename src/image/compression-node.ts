/** Layers are compressed with gzip or zstd; what is in front of them says so. */

import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { Compression } from '../oci/image.ts'
import { ByteSource } from './byte-source.ts'
import { damaged, wholeFrames } from './zstd-frames.ts'

/** By the first bytes, as docker does it: what an archive calls itself is often wrong. RFC 1952, RFC 8878 */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  return head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd ? 'zstd' : 'none'
}

/** The bytes without their compression. Throws `invalid` for what is damaged or cut off. */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') yield* chunks
  else {
    try {
      yield* decompressor(chunks, compression)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw typeof code === 'string' && code.startsWith('Z') ? damaged(message, error) : error
    }
  }
}

/** What fails in one of the streams is thrown by the last one, which is read. */
const decompressor = (
  chunks: AsyncIterable<Uint8Array>,
  compression: Exclude<Compression, 'none'>,
): AsyncIterable<Uint8Array> =>
  compression === 'gzip'
    ? pipeline(chunks, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined)
    : pipeline(wholeFrames(chunks), createZstdDecompress({ chunkSize: CHUNK_BYTES }), () => undefined)

const CHUNK_BYTES = 256 * 1024

/** The archive without its compression, if it has one. */
export async function* inflated(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(chunks)
  try {
    const head = (await source.exactly(HEAD_BYTES)).slice()
    yield* decompressed(withHead(head, source), compressionOf(head))
  } finally {
    await source.end()
  }
}

const HEAD_BYTES = 4

async function* withHead(head: Uint8Array, source: ByteSource): AsyncGenerator<Uint8Array> {
  yield head
  for (let chunk = await source.some(CHUNK_BYTES); chunk.length > 0; chunk = await source.some(CHUNK_BYTES)) yield chunk
}
