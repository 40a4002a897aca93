/** Who of coffer sent a container the signal that may end it: written before it is sent, for `coffer why`. */

import { OperationError } from '../base/errors.ts'
import { ownerName } from '../container/host.ts'
import { replaceFile } from '../executor/embedded-files.ts'
import { effectiveIds } from '../executor/embedded-process.ts'
import { parseSignal } from '../linux/signals.ts'
import { containerPath, type Engine } from './place.ts'
import { randomHex } from './random.ts'

export interface SentSignal {
  readonly command: 'stop' | 'kill' | 'rm'
  /** Its number. */
  readonly signal: number
  /** The name of the user, or the uid in decimal. */
  readonly by: string
  /** RFC 3339, UTC. */
  readonly at: string
  /** Of a stop whose own signal was waited for in vain: for how many seconds. */
  readonly waitedSeconds?: number
}

export const SENT_FILE = 'sent'

/** `signal` is a number or a name; what is neither is told by who sends it. */
export function keepSent(
  engine: Engine,
  id: string,
  { command, signal, waitedSeconds }: { command: SentSignal['command']; signal: string; waitedSeconds?: number },
): void {
  const { native, now } = engine.machine
  const number = parseSignal(signal)
  if (number === undefined) return
  const sent: SentSignal = {
    command,
    signal: number,
    by: ownerName(engine.machine, effectiveIds(native).uid),
    at: now().toISOString(),
    ...(waitedSeconds === undefined ? {} : { waitedSeconds }),
  }
  const path = `${containerPath(engine, id)}/${SENT_FILE}`
  // Several may send at once.
  const temporary = `${path}.${randomHex(native, 4)}`
  try {
    replaceFile(native, { path, temporary, text: JSON.stringify(sent), mode: 0o600 })
  } catch (error) {
    // On a full disk a container can be stopped all the same, and one that is removed meanwhile wants nothing kept.
    if (!(error instanceof OperationError) || !['exhausted', 'missing'].includes(error.kind)) throw error
  }
}
