/** Keeps what a command writes, up to a limit for both streams together. */

export interface Output {
  readonly take: (bytes: Uint8Array) => void
  readonly bytes: () => Uint8Array
}

export interface OutputLimit {
  readonly maxBytes: number | undefined
  /** Called once, when more than that was written; what goes beyond is not kept. */
  readonly onExceeded: () => void
}

export function keepOutputs({
  maxBytes = Number.POSITIVE_INFINITY,
  onExceeded,
}: OutputLimit): readonly [Output, Output] {
  let left = maxBytes
  let isExceeded = false
  const keep = (): Output => {
    const chunks: Uint8Array[] = []
    return {
      take: (bytes) => {
        const kept = bytes.length <= left ? bytes : bytes.subarray(0, left)
        left -= kept.length
        if (kept.length > 0) chunks.push(kept)
        if (kept.length === bytes.length || isExceeded) return
        isExceeded = true
        onExceeded()
      },
      bytes: () => joined(chunks),
    }
  }
  return [keep(), keep()]
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [only] = chunks
  if (only !== undefined && chunks.length === 1) return only
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
