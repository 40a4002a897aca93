/** What a person sees while layers move: a line for each, with a bar, on a terminal; elsewhere a line whenever something has changed. */

import type { WriteStream } from 'node:tty'
import { sizeText } from '../base/size.ts'

export interface Progress {
  /** What happens to a layer, in docker's words. */
  readonly say: (digest: string, words: string) => void
  readonly sayBytes: (digest: string, words: string, bytes: number, totalBytes: number) => void
  /** Shows how it stands at the end. */
  readonly close: () => void
}

const REDRAW_MS = 100
const BAR = 50

export function openProgress(out: WriteStream, isQuiet: boolean): Progress {
  if (isQuiet) return { say: () => undefined, sayBytes: () => undefined, close: () => undefined }
  return out.isTTY ? bars(out) : lines(out)
}

const lines = (out: WriteStream): Progress => ({
  say: (digest, words) => out.write(`${short(digest)}: ${words}\n`),
  sayBytes: () => undefined,
  close: () => undefined,
})

function bars(out: WriteStream): Progress {
  const shown = new Map<string, string>()
  const state = { drawnLines: 0, drawnAt: 0 }
  const draw = (): void => {
    const rows = [...shown].map(([digest, words]) => `\x1b[2K${short(digest)}: ${words}`.slice(0, out.columns + 4))
    const up = state.drawnLines > 0 ? `\x1b[${state.drawnLines}A` : ''
    out.write(`${up}${rows.map((row) => `${row}\n`).join('')}`)
    state.drawnLines = rows.length
    state.drawnAt = performance.now()
  }
  const say = (digest: string, words: string): void => {
    shown.set(digest, words)
    draw()
  }
  return {
    say,
    sayBytes: (digest, words, bytes, totalBytes) => {
      shown.set(digest, `${words.padEnd(12)} ${barOf(bytes / totalBytes)} ${sizeText(bytes)}/${sizeText(totalBytes)}`)
      if (performance.now() - state.drawnAt >= REDRAW_MS) draw()
    },
    close: draw,
  }
}

function barOf(share: number): string {
  const filled = Math.min(BAR, Math.floor(share * BAR))
  return `[${'='.repeat(filled)}>${' '.repeat(BAR - filled)}]`
}

const short = (digest: string): string => digest.slice(digest.indexOf(':') + 1).slice(0, 12)
