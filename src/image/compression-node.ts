/** Layers are compressed with gzip or zstd; what is in front of them says so. */

import { pipeline, Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { Compression } from '../oci/image.ts'
import { ByteSource } from './byte-source.ts'

/** By the first bytes, as docker does it: what an archive calls itself is often wrong. RFC 1952, RFC 8878 */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  return head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd ? 'zstd' : 'none'
}

/** A stream to pipe the layer through. */
export function decompressor(compression: Compression): Transform {
  switch (compression) {
    case 'none':
      return new Transform({ transform: (chunk, _, done) => done(null, chunk) })
    case 'gzip':
      return createGunzip({ chunkSize: CHUNK_BYTES })
    case 'zstd':
      return createZstdDecompress({ chunkSize: CHUNK_BYTES })
  }
}

const CHUNK_BYTES = 256 * 1024

/** The archive without its compression, if it has one. */
export async function* inflated(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(chunks)
  const head = (await source.exactly(HEAD_BYTES)).slice()
  const stream = decompressor(compressionOf(head))
  yield* pipeline(withHead(head, source), stream, () => undefined)
}

const HEAD_BYTES = 4

async function* withHead(head: Uint8Array, source: ByteSource): AsyncGenerator<Uint8Array> {
  yield head
  for (let chunk = await source.some(CHUNK_BYTES); chunk.length > 0; chunk = await source.some(CHUNK_BYTES)) yield chunk
}
