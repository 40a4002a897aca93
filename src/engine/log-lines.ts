/** Lines of a log, found when somebody asks for them. */

import type { Piece } from './log-file.ts'

export interface LogLine {
  readonly stream: number
  /** When its first bytes came. */
  readonly nanos: bigint
  /** With its new line, which the last one may lack. */
  readonly bytes: Uint8Array
}

const NEWLINE = 10

/** Makes lines of pieces; each stream has a line of its own under way. */
export class LineMaker {
  readonly #begun = new Map<number, { nanos: bigint; parts: Uint8Array[] }>()

  add({ stream, nanos, bytes }: Piece, take: (line: LogLine) => void): void {
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, at)
      const part = bytes.slice(at, end < 0 ? bytes.length : end + 1)
      at += part.length
      const begun = this.#begun.get(stream)
      if (end < 0) {
        if (begun === undefined) this.#begun.set(stream, { nanos, parts: [part] })
        else begun.parts.push(part)
        return
      }
      this.#begun.delete(stream)
      take(
        begun === undefined
          ? { stream, nanos, bytes: part }
          : { stream, nanos: begun.nanos, bytes: joined([...begun.parts, part]) },
      )
    }
  }

  /** What has no new line yet. */
  rest(take: (line: LogLine) => void): void {
    for (const [stream, { nanos, parts }] of this.#begun) take({ stream, nanos, bytes: joined(parts) })
    this.#begun.clear()
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** `2026-01-02T03:04:05.000000006Z`, as docker has it. */
export function stampOf(nanos: bigint): string {
  const seconds = new Date(Number(nanos / 1_000_000_000n) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(nanos % 1_000_000_000n).padStart(9, '0')}Z`
}
