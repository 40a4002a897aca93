/** Hearing of denials: the reader of the fifo that native/denials.c writes to, and how much of it a caller has to bear. */

import type { DenialsRequest } from '../plan/denials.ts'
import type { Channel } from './channel-node.ts'
import { type Denial, readDenials } from './denial.ts'
import { readProgram } from './machine-node.ts'

/** A box tells so many in a second, and a result has so many at most; what is beyond is counted. */
export const MOST_DENIALS = 1000

/** How long a supervisor that hangs in a lookup is waited for: longer than native/denials.c takes for its last words. Milliseconds. */
const PATIENCE_MS = 3000

export interface DenialListener {
  readonly take: (denial: Denial) => void
  /** So many there were that nobody is told of. */
  readonly lose: (count: number) => void
}

/** Opens the fifo, before a plan does; what is answered ends it, and resolves when all was heard. */
export function hearDenials(channel: Channel, { take, lose }: DenialListener): () => Promise<void> {
  const { incoming, end } = channel.listenDenials()
  const heard = incoming.each(readDenials(take, lose)).then(() => true)
  return async () => {
    end()
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), PATIENCE_MS)
    })
    const isOver = await Promise.race([heard, patience])
    clearTimeout(timer)
    if (!isOver) channel.abandon()
  }
}

/** Lets so many through in a second that a box that is denied things all the time costs its caller little. */
export function limitRate({ take, lose }: DenialListener, now: () => number): DenialListener {
  let since = now()
  let count = 0
  return {
    lose,
    take: (denial) => {
      const time = now()
      if (time - since >= 1000) {
        since = time
        count = 0
      }
      count += 1
      if (count <= MOST_DENIALS) take(denial)
      else lose(1)
    },
  }
}

let program: Uint8Array | undefined

export function denialsTo(fifo: string): DenialsRequest {
  program ??= readProgram('coffer-denials')
  return { elf: program, fifo }
}
