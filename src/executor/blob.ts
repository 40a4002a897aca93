/** The memory of a plan: constants, structures and buffers in one half, all texts in the other, so that they are encoded at once. */

import { bug } from '../base/errors.ts'
import { utf8Length } from '../linux/bytes.ts'

export class Blob {
  #bytes = new Uint8Array(8192)
  #length = 0
  readonly #texts = new Map<string, number>()
  #textLength = 0

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
    // A NUL would end the string early in the kernel: what was checked would not be what is used.
    if (text.includes('\0')) throw bug(`the plan holds the text ${JSON.stringify(text)}`)
    const at = this.#textLength
    this.#texts.set(text, at)
    this.#textLength = at + utf8Length(text) + 1
    return at
  }

  textLength(text: string): number {
    return utf8Length(text)
  }

  /** All texts in their order. */
  texts(): readonly string[] {
    return [...this.#texts.keys()]
  }

  copyBytes(into: Uint8Array, at: number): void {
    into.set(this.#bytes.subarray(0, this.#length), at)
  }

  encodedText(encode: (text: string) => Uint8Array): Uint8Array {
    const encoded = encode(`${this.texts().join('\0')}\0`)
    if (this.#textLength > 0 && encoded.length !== this.#textLength)
      throw bug('the texts of a plan were encoded to another length than was planned')
    return encoded
  }
}
