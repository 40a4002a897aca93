/**
 * The maps of sparse files, in the four forms that GNU tar has written.
 *
 * Source: GNU tar manual, "Storing Sparse Files"
 */

import type { ByteSource } from './byte-source.ts'
import { BLOCK, type Extent } from './tar.ts'
import { ascii, broken, cutOff, numberOf, readDecimal } from './tar-header.ts'
import type { Found } from './tar-records.ts'

export interface Sparse {
  readonly extents: readonly Extent[]
  readonly sizeBytes: number
  /** Of the content that follows, the map taken off. */
  readonly left: number
}

const MAX_EXTENTS = 1_000_000

/** Undefined for a file without a map; `stored` is how many bytes the archive has for it. */
export async function sparseOf(source: ByteSource, found: Found, stored: number): Promise<Sparse | undefined> {
  const { block, header, records } = found
  if (header.type === 'S') return oldSparse(source, block, stored)
  const sizeBytes = records.number('GNU.sparse.realsize') ?? records.number('GNU.sparse.size')
  if (sizeBytes === undefined) return undefined
  if (records.number('GNU.sparse.major') === 1) {
    const { numbers, bytes } = await readMap(source)
    return checked({ extents: paired(numbers), sizeBytes, left: stored - bytes })
  }
  const map = records.text('GNU.sparse.map')
  return checked({
    extents: paired(map === undefined ? records.pairs : map.split(',').map(readDecimal)),
    sizeBytes,
    left: stored,
  })
}

/** Four pairs in the header, 21 in each block behind it. */
const OLD = { at: 386, count: 4, moreAt: 482, realSizeAt: 483, blockCount: 21, blockMoreAt: 504 }

async function oldSparse(source: ByteSource, header: Uint8Array, stored: number): Promise<Sparse> {
  const extents = [...oldExtents(header, OLD.at, OLD.count)]
  let hasMore = header[OLD.moreAt] !== 0
  while (hasMore) {
    const block = await wholeBlock(source)
    extents.push(...oldExtents(block, 0, OLD.blockCount))
    if (extents.length > MAX_EXTENTS) throw tooMany()
    hasMore = block[OLD.blockMoreAt] !== 0
  }
  const sizeBytes = numberOf(header.subarray(OLD.realSizeAt, OLD.realSizeAt + 12))
  return checked({ extents, sizeBytes, left: stored })
}

function oldExtents(block: Uint8Array, at: number, count: number): readonly Extent[] {
  const number = (start: number): number => numberOf(block.subarray(start, start + 12))
  const extents = Array.from({ length: count }, (_, index) => ({
    offset: number(at + 24 * index),
    sizeBytes: number(at + 24 * index + 12),
  }))
  return extents.filter(({ offset, sizeBytes }) => offset > 0 || sizeBytes > 0)
}

/** Form 1.0: decimal numbers, one a line, the first of them how many pairs follow, in front of the content, in whole blocks. */
async function readMap(source: ByteSource): Promise<{ readonly numbers: readonly number[]; readonly bytes: number }> {
  const lines: string[] = []
  let rest = ''
  for (let bytes = BLOCK; ; bytes += BLOCK) {
    const [first = '', ...more] = (rest + ascii(await wholeBlock(source))).split('\n').reverse()
    rest = first
    if (rest.length > BLOCK) throw broken('the map of a sparse file has a line without end')
    lines.push(...more.reverse())
    const count = readDecimal(lines[0] ?? '0')
    if (count > MAX_EXTENTS) throw tooMany()
    if (lines.length > 2 * count && lines.length > 0)
      return { numbers: lines.slice(1, 1 + 2 * count).map(readDecimal), bytes }
  }
}

async function wholeBlock(source: ByteSource): Promise<Uint8Array> {
  const block = await source.exactly(BLOCK)
  if (block.length < BLOCK) throw cutOff()
  return block
}

function paired(numbers: readonly number[]): readonly Extent[] {
  if (numbers.length % 2 === 1) throw broken('the map of a sparse file has a number too many')
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    offset: numbers[2 * index] ?? 0,
    sizeBytes: numbers[2 * index + 1] ?? 0,
  }))
}

/** Parts in order, inside of the file, and as long together as what follows. */
function checked(sparse: Sparse): Sparse {
  let end = 0
  let total = 0
  for (const { offset, sizeBytes } of sparse.extents) {
    if (offset < end || offset + sizeBytes > sparse.sizeBytes) throw broken('the map of a sparse file is wrong')
    end = offset + sizeBytes
    total += sizeBytes
  }
  if (total !== sparse.left) throw broken('a sparse file is not as long as its map says')
  return sparse
}

const tooMany = (): Error => broken(`a file has more than ${MAX_EXTENTS} parts`)
