/** commit: the front has looked at the container, and writes what it has changed as an archive to our standard input. */

import { OperationError } from '../base/errors.ts'
import { type Commit, commitLayer } from '../image/commit-node.ts'
import type { Store } from '../image/store-node.ts'

/** The words are what the front knows of the container, as JSON, and what it writes behind an archive that is whole. */
export async function commitCommand(store: Store, [text = '', seal = '']: readonly string[]): Promise<void> {
  const layer = unsealed(process.stdin, Buffer.from(seal))
  process.stdout.write(`${await commitLayer(store, layer, JSON.parse(text) as Commit)}\n`)
}

/** Throws `invalid` for a stream without the seal at its end: whoever wrote it was killed, and half a layer is none. */
async function* unsealed(chunks: AsyncIterable<Uint8Array>, seal: Buffer): AsyncGenerator<Uint8Array> {
  let kept: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const all = Buffer.concat([kept, chunk])
    const end = Math.max(0, all.length - seal.length)
    yield all.subarray(0, end)
    kept = all.subarray(end)
  }
  if (!kept.equals(seal))
    throw new OperationError({
      kind: 'invalid',
      operation: 'commit the container',
      reason: 'its archive ends in the middle',
    })
}
