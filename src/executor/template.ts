/**
 * A frame with blanks: an assembled plan in which some words, the name of the container for one, are not known yet.
 *
 * The blanks are characters that stand in the texts of the plan, and nowhere else. To fill them in is to replace them in the texts, which are
 * the last part of a frame, and to correct the places that hold offsets and lengths of texts: native/wire.h, struct plan.
 */

import { utf8Length } from '../linux/bytes.ts'
import type { Buffer } from '../linux/call.ts'
import type { Plan } from '../plan/plan.ts'
import { type Assembled, type AssembleOptions, assemble } from './assemble.ts'
import { HEADER } from './wire.ts'

export interface Template {
  /** Without the texts. */
  readonly head: Uint8Array
  /** Where the texts begin in the blob. */
  readonly inBlob: number
  /** The texts, with a NUL between them. */
  readonly texts: string
  /** Pairs: a place in words of 32 bits from the start of the frame, and the number of the text whose offset it holds. */
  readonly offsets: Uint32Array
  /** The same for places that hold the length of a text. */
  readonly sizes: Uint32Array
  readonly slots: readonly (readonly [string, number])[]
  readonly reads: readonly Buffer[]
}

/** What each blank stands for; blanks are single characters. */
export type Blanks = readonly (readonly [blank: string, value: string])[]

/** What a filled-in frame needs for its report to be read. */
export type Filled = Pick<Assembled, 'frame' | 'slots' | 'reads'>

export interface Frame extends Filled {
  /** The steps by the index that reports use; asked for only when one failed. */
  readonly steps: () => Assembled['steps']
}

const NUL = '\0'

/** Undefined for a plan that a template cannot hold: with a blank in a text that the executor puts together, or long text in a structure. */
export function makeTemplate(
  { frame, slots, reads, texts }: Assembled,
  blanks: readonly string[],
): Template | undefined {
  if (texts.fixed.some((piece) => blanks.some((blank) => piece.includes(blank)))) return undefined
  const list = texts.list()
  const numberAt = new Map<number, number>()
  const numberOf = new Map<string, number>()
  let at = texts.inBlob
  list.forEach((text, index) => {
    numberAt.set(at, index)
    numberOf.set(text, index)
    at += utf8Length(text) + 1
  })
  const words = new Uint32Array(frame.buffer, 0, frame.length / 4)
  const sizes = texts.sizes().flatMap((size) => {
    // A size is only asked for together with its text.
    const index = numberOf.get(size.text)
    return index === undefined ? [] : [size.at, index]
  })
  return {
    head: frame.slice(0, texts.at),
    inBlob: texts.inBlob,
    texts: list.join(NUL),
    offsets: Uint32Array.from(texts.offsets().flatMap((place) => [place, numberAt.get(words[place] ?? 0) ?? 0])),
    sizes: Uint32Array.from(sizes),
    slots: [...slots],
    reads,
  }
}

/** Plans that differ in a few words only. */
export interface Pattern {
  /** Characters that stand for the words; none of them may be in a plan for another reason. */
  readonly blanks: readonly string[]
  readonly plan: (words: readonly string[]) => Plan
}

/**
 * Answers the frame for given words, in the order of the blanks. The plan is made once, with its blanks; again only for the words of an error,
 * and each time if a template cannot hold it. The frame of the last words is kept: commands that follow one another have the same.
 */
export function framesOf({ blanks, plan }: Pattern, options: AssembleOptions): (words: readonly string[]) => Frame {
  const template = makeTemplate(assemble(plan(blanks), options), blanks)
  const stepsFor =
    (words: readonly string[]): Frame['steps'] =>
    () =>
      assemble(plan(words), options).steps
  let last: { readonly words: readonly string[]; readonly filled: Filled } | undefined
  return (words) => {
    if (template === undefined) {
      const assembled = assemble(plan(words), options)
      return { ...assembled, steps: () => assembled.steps }
    }
    if (last === undefined || last.words.some((word, index) => word !== words[index])) {
      const values = blanks.map((blank, index) => [blank, words[index] ?? ''] as const)
      last = { words, filled: fillIn(template, values, options.encode) }
    }
    // Who runs a frame writes to it.
    return { ...last.filled, frame: last.filled.frame.slice(), steps: stepsFor(words) }
  }
}

/** `text` with what its blanks stand for. Looking for each before would take longer: the engine splits faster than it finds. */
export const filled = (text: string, blanks: Blanks): string =>
  blanks.reduce((rest, [blank, value]) => rest.split(blank).join(value), text)

/** The frame for these values. */
export function fillIn(template: Template, blanks: Blanks, encode: (text: string) => Uint8Array): Filled {
  const joined = filled(template.texts, blanks)
  const texts = encode(`${joined}${NUL}`)
  const { starts, lengths } = measure(joined, texts.length)
  const frame = new Uint8Array((template.head.length + texts.length + 7) & ~7)
  frame.set(template.head)
  frame.set(texts, template.head.length)
  const words = new Uint32Array(frame.buffer)
  words[HEADER.totalBytes] = frame.length
  words[HEADER.blobBytes] = frame.length - (template.head.length - template.inBlob)
  const { offsets, sizes, inBlob } = template
  for (let at = 0; at < offsets.length; at += 2) words[offsets[at] ?? 0] = inBlob + (starts[offsets[at + 1] ?? 0] ?? 0)
  for (let at = 0; at < sizes.length; at += 2) words[sizes[at] ?? 0] = lengths[sizes[at + 1] ?? 0] ?? 0
  return { frame, slots: new Map(template.slots), reads: template.reads }
}

/** In bytes; the common case, all ASCII, is seen by the length of the whole. */
function measure(
  joined: string,
  encodedLength: number,
): { readonly starts: readonly number[]; readonly lengths: readonly number[] } {
  const starts: number[] = []
  const isAscii = joined.length + 1 === encodedLength
  let start = 0
  const lengths = joined.split(NUL).map((text) => {
    starts.push(start)
    const length = isAscii ? text.length : utf8Length(text)
    start += length + 1
    return length
  })
  return { starts, lengths }
}
