/** A stream of chunks, read in pieces of the size that the reader wants. */

export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Exactly so many bytes, in memory of their own only if chunks had to be joined; fewer at the end of the stream. */
  async exactly(length: number): Promise<Uint8Array> {
    if (this.#rest.length === 0) await this.#refill()
    if (this.#rest.length >= length) return this.#take(length)
    const joined = new Uint8Array(length)
    let filled = 0
    while (filled < length && (this.#rest.length > 0 || (await this.#refill()))) {
      const piece = this.#take(Math.min(length - filled, this.#rest.length))
      joined.set(piece, filled)
      filled += piece.length
    }
    return joined.subarray(0, filled)
  }

  /** What is there of the next `length` bytes, at least one; empty at the end of the stream. */
  async some(length: number): Promise<Uint8Array> {
    if (this.#rest.length === 0) await this.#refill()
    return this.#take(Math.min(length, this.#rest.length))
  }

  /** Answers false if the stream ended before. */
  async skip(length: number): Promise<boolean> {
    for (let left = length; left > 0; ) {
      const piece = await this.some(left)
      if (piece.length === 0) return false
      left -= piece.length
    }
    return true
  }

  /** Nobody reads on: what is behind the stream is let go of. */
  async end(): Promise<void> {
    await this.#chunks.return?.()
  }

  #take(length: number): Uint8Array {
    const piece = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return piece
  }

  async #refill(): Promise<boolean> {
    for (;;) {
      const { value, done } = await this.#chunks.next()
      if (done === true) return false
      if (value.length === 0) continue
      this.#rest = value
      return true
    }
  }
}
