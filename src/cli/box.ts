/** The words behind which the library has the network of a box made and taken away: engine/box-network.ts. It reads what is printed. */

import { OperationError } from '../base/errors.ts'
import { type BoxNetwork, connectBox, disconnectBox } from '../engine/box-network.ts'
import { FAILED, say } from './command.ts'
import type { Session } from './open.ts'

export const BOX_COMMAND = '--box'

/** A line of JSON. `error` has the fields of an OperationError. */
export interface BoxAnswer {
  readonly network?: BoxNetwork
  readonly warnings?: readonly string[]
  readonly error?: object
}

/** `--box connect ID NETWORK HOSTNAME`, and `--box disconnect ID`. */
export function boxCommand(session: Session, [word, id = '', network = '', hostname = '']: readonly string[]): number {
  const answer = (line: BoxAnswer): void => say(session, `${JSON.stringify(line)}\n`)
  const { engine } = session
  try {
    if (word === 'connect') {
      const warnings: string[] = []
      const made = connectBox(engine, { id, network, hostname }, (text) => warnings.push(text))
      answer({ network: made, warnings })
    } else {
      disconnectBox(engine, id)
      answer({})
    }
    return 0
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    const { kind, operation, message, code, syscall, path, hint, see } = error
    answer({
      error: { kind, operation, reason: message.slice(`cannot ${operation}: `.length), code, syscall, path, hint, see },
    })
    return FAILED
  }
}
