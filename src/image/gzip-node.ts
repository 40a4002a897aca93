/**
 * gzip on all processors: one member, whose parts are compressed by themselves and know what came before them, as pigz does it.
 *
 * Source: RFC 1952, RFC 1951; zlib, deflateSetDictionary
 */

import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { crc32, deflateRaw, constants as zlib } from 'node:zlib'

const deflate = promisify(deflateRaw) as (bytes: Uint8Array, options: object) => Promise<Uint8Array>

/** No name, no time; "fastest", and of no system in particular. */
const HEAD = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255)
/** A last block with nothing in it: each part ends before one, at a byte. */
const LAST_BLOCK = Uint8Array.of(3, 0)
const WINDOW_BYTES = 32 * 1024

/** At the fastest level: of what is saved by a higher one little is left, and a user waits for it. Best in chunks of some 100 KiB. */
export async function* gzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts: Promise<Uint8Array>[] = []
  let [crc, length] = [0, 0]
  let dictionary = new Uint8Array(0)
  yield HEAD
  try {
    for await (const chunk of chunks) {
      crc = crc32(chunk, crc)
      length += chunk.length
      const known = dictionary.length === 0 ? {} : { dictionary }
      parts.push(deflate(chunk, { level: zlib.Z_BEST_SPEED, finishFlush: zlib.Z_SYNC_FLUSH, ...known }))
      dictionary = chunk.slice(-WINDOW_BYTES)
      if (parts.length > availableParallelism()) yield* taken(parts, 1)
    }
    yield* taken(parts, parts.length)
  } finally {
    await Promise.allSettled(parts)
  }
  yield LAST_BLOCK
  const tail = new DataView(new ArrayBuffer(8))
  tail.setUint32(0, crc, true)
  tail.setUint32(4, length % 2 ** 32, true)
  yield new Uint8Array(tail.buffer)
}

async function* taken(parts: Promise<Uint8Array>[], count: number): AsyncGenerator<Uint8Array> {
  for (const part of parts.splice(0, count)) yield await part
}
