/** Files as streams of large chunks: a stream of Node has 64 KiB at once, and a turn of its thread pool for each. */

import { type FileHandle, open } from 'node:fs/promises'

const CHUNK_BYTES = 512 * 1024

/** In memory of their own each; while one is used, the next is read. */
export async function* fileChunks(path: string | Buffer): AsyncGenerator<Uint8Array> {
  const file = await open(path)
  let next = readChunk(file)
  try {
    for (let chunk = await next; chunk.length > 0; chunk = await next) {
      next = readChunk(file)
      yield chunk
    }
  } finally {
    await next.catch(() => undefined)
    await file.close()
  }
}

async function readChunk(file: FileHandle): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafeSlow(CHUNK_BYTES), 0, CHUNK_BYTES)
  return buffer.subarray(0, bytesRead)
}

/** A new file with these bytes; while a chunk is written, the next is made. Throws EEXIST for one that is there. */
export async function writeChunks(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  let writing = Promise.resolve()
  try {
    for await (const chunk of chunks) {
      await writing
      writing = file.writeFile(chunk)
      // It is looked at in the next turn; until then it must not count as an error that nobody handles.
      writing.catch(() => undefined)
    }
    await writing
  } finally {
    await writing.catch(() => undefined)
    await file.close()
  }
}
