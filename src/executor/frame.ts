/** Parts of an assembled plan → one frame: struct plan of native/wire.h. */

import type { Buffer } from '../linux/call.ts'
import type { Assembly, SizePlace } from './assembly.ts'
import { refuseTooLarge } from './too-large.ts'
import { FLAG_TRACE, HEADER_BYTES, MAGIC, STEP_WORDS } from './wire.ts'

export interface LaidOut {
  readonly frame: Uint8Array
  /** For template.ts: where the frame depends on its texts. */
  readonly texts: TextPlaces
}

/** All texts of a plan are the last part of its frame, each with a NUL behind it. Places count words of 32 bits from the start of the frame. */
export interface TextPlaces {
  readonly list: () => readonly string[]
  /** Where the texts begin: in the frame, and in the blob. */
  readonly at: number
  readonly inBlob: number
  /** Words that hold the offset of a text in the blob. */
  readonly offsets: () => readonly number[]
  /** Words that hold the length of a text, and that text. */
  readonly sizes: () => readonly SizePlace[]
  /** Texts whose length is part of the layout of the blob. */
  readonly fixed: readonly string[]
}

/** What the assembly itself does not have. */
interface Rest {
  readonly mainCount: number
  readonly reads: readonly { readonly at: number; readonly read: Buffer }[]
  readonly text: Uint8Array
  readonly trace: boolean
}

/** Header, steps, operations, reads, blob. */
export function layOut(assembly: Assembly, { mainCount, reads, text, trace }: Rest): LaidOut {
  const { words, ops, blob } = assembly
  const textBase = blob.bytesLength
  for (const at of assembly.wordFixups) words[at] = (words[at] ?? 0) + textBase
  for (const at of assembly.opFixups) ops[at] = (ops[at] ?? 0) + textBase
  const stepBytes = assembly.steps.length * STEP_WORDS * 4
  const opBytes = assembly.opCount * 16
  const opsAt = HEADER_BYTES + stepBytes
  const readsAt = opsAt + opBytes
  const blobAt = readsAt + reads.length * 8
  const frameBytes = Math.ceil((blobAt + textBase + text.length) / 8) * 8
  refuseTooLarge('bytes', frameBytes)
  const frame = new Uint8Array(frameBytes)
  const header = new Uint32Array(frame.buffer, 0, blobAt / 4)
  header.set([MAGIC, frame.length, 0, trace ? FLAG_TRACE : 0, HEADER_BYTES, assembly.steps.length])
  header.set([opsAt, assembly.opCount, readsAt, reads.length, blobAt], 6)
  header.set([frame.length - blobAt, mainCount, assembly.slots.size], 11)
  header.set(words.subarray(0, stepBytes / 4), HEADER_BYTES / 4)
  header.set(ops, opsAt / 4)
  reads.forEach(({ at, read }, index) => {
    header.set([at, read.sizeBytes], readsAt / 4 + index * 2)
  })
  blob.copyBytes(frame, blobAt)
  frame.set(text, blobAt + textBase)
  const texts: TextPlaces = {
    list: () => blob.texts(),
    at: blobAt + textBase,
    inBlob: textBase,
    offsets: () => [
      ...assembly.wordFixups.map((word) => HEADER_BYTES / 4 + word),
      ...assembly.opFixups.map((word) => opsAt / 4 + word),
    ],
    sizes: () => [
      ...assembly.wordSizes.map(({ at, text }) => ({ at: HEADER_BYTES / 4 + at, text })),
      ...assembly.opSizes.map(({ at, text }) => ({ at: opsAt / 4 + at, text })),
    ],
    fixed: assembly.pieces,
  }
  return { frame, texts }
}
