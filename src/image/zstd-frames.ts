/**
 * The frames of a zstd stream, one after another: what a decompressor is given at once is of one frame, and the stream ends with a whole one.
 *
 * Node's decompressor ends with the first of two frames that come in one chunk, and takes a stream that is cut off for a whole one (22.23).
 *
 * Source: RFC 8878 section 3.1
 */

import { OperationError } from '../base/errors.ts'
import { ByteSource } from './byte-source.ts'

const MAGIC = 0xfd2fb528
/** Sixteen magic numbers of frames that hold something else. */
const SKIPPABLE = 0x184d2a5
/** Blocks are gathered up to so many bytes. */
const PIECE_BYTES = 256 * 1024

export async function* wholeFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new ByteSource(chunks)
  try {
    for (let magic = await source.exactly(4); magic.length > 0; magic = await source.exactly(4)) {
      const number = numberOf(whole(magic, 4))
      if (number >>> 4 === SKIPPABLE) {
        if (!(await source.skip(numberOf(await taken(source, 4))))) throw cutOff()
      } else if (number === MAGIC) yield* frameOf(source, magic)
      else throw damaged('what follows a frame is no frame')
    }
  } finally {
    await source.end()
  }
}

const BLOCK_TYPES = { rle: 1, reserved: 3 }

async function* frameOf(source: ByteSource, magic: Uint8Array): AsyncGenerator<Uint8Array> {
  const head = await taken(source, 1)
  const [descriptor = 0] = head
  let pieces = [magic, head, await taken(source, headerBytes(descriptor))]
  let gathered = 0
  for (let isLast = false; !isLast; ) {
    const header = await taken(source, 3)
    const number = numberOf(header)
    const type = (number >> 1) & 3
    if (type === BLOCK_TYPES.reserved) throw damaged('it has a block of a type that there is not')
    const body = await taken(source, type === BLOCK_TYPES.rle ? 1 : number >> 3)
    pieces.push(header, body)
    gathered += body.length
    isLast = (number & 1) === 1
    if (isLast && hasChecksum(descriptor)) pieces.push(await taken(source, 4))
    if (!isLast && gathered < PIECE_BYTES) continue
    yield joined(pieces)
    pieces = []
    gathered = 0
  }
}

const hasChecksum = (descriptor: number): boolean => (descriptor & 4) !== 0

/** Behind the descriptor: the window, the id of a dictionary, and the size of the content. */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  const window = isSingleSegment ? 0 : 1
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  const content = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  return window + dictionary + content
}

const taken = async (source: ByteSource, length: number): Promise<Uint8Array> =>
  length === 0 ? new Uint8Array(0) : whole(await source.exactly(length), length)

function whole(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length < length) throw cutOff()
  return bytes
}

/** Little-endian, of at most four bytes. */
const numberOf = (bytes: Uint8Array): number =>
  bytes.reduce((number, byte, index) => number + byte * 2 ** (8 * index), 0)

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

/** Of a stream that is not what its first bytes say. */
export const damaged = (reason: string, cause?: unknown): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'decompress the archive',
    reason,
    hint: 'it was damaged on the way; get it again',
    ...(cause === undefined ? {} : { cause }),
  })

const cutOff = (): OperationError => damaged('it ends in the middle')
