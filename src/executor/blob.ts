/** The memory of a plan: constants, structures and buffers in one half, all texts in the other, so that they are encoded at once. */

import { bug } from '../base/errors.ts'

export class Blob {
  #bytes = new Uint8Array(8192)
  #length = 0
  readonly #texts = new Map<string, number>()
  #textLength = 0
  readonly textLength: (text: string) => number

  /** `textLength` is the number of bytes of a text in UTF-8. */
  constructor(textLength: (text: string) => number) {
    this.textLength = textLength
  }

  /** The size of the half without texts, a multiple of 8. */
  get bytesLength(): number {
    return this.#length
  }

  /** The offset of room for `sizeBytes` zero bytes, on a multiple of 8. */
  reserve(sizeBytes: number): number {
    const at = this.#length
    this.#length = (at + sizeBytes + 7) & ~7
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }

  addBytes(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return at
  }

  /** The offset of a NUL-terminated string within the text half; equal strings share a place. */
  addText(text: string): number {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    const at = this.#textLength
    this.#texts.set(text, at)
    this.#textLength = at + this.textLength(text) + 1
    return at
  }

  /** All texts in their order. */
  texts(): readonly string[] {
    return [...this.#texts.keys()]
  }

  copyBytes(into: Uint8Array, at: number): void {
    into.set(this.#bytes.subarray(0, this.#length), at)
  }

  /** Undefined if the length of some text was not what `textLength` said. */
  encodedText(encode: (text: string) => Uint8Array): Uint8Array | undefined {
    const texts = this.texts()
    const joined = texts.join('\0')
    // A NUL within would end a text early in the kernel: what was checked would not be what is used.
    if (texts.length > 0 && joined.split('\0').length !== texts.length)
      throw bug(`the plan holds the text ${JSON.stringify(texts.find((text) => text.includes('\0')))}`)
    const encoded = encode(`${joined}\0`)
    return this.#textLength > 0 && encoded.length !== this.#textLength ? undefined : encoded
  }
}
