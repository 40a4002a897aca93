/** Who gets the terminal of a container, or of a process of exec: a socket, or the caller, who then has to stay. */

import { OperationError } from '../base/errors.ts'

export interface ConsoleChoice {
  /** Completes "cannot …". */
  readonly operation: string
  readonly terminal: () => boolean
  readonly consoleSocket?: string | undefined
  /** Coffer does not stay to relay a terminal. */
  readonly detaches: boolean
}

/** Throws `invalid` for a terminal that nobody would get, and for a socket that gets none; in the words of runc. */
export function checkConsole({ operation, terminal, consoleSocket, detaches }: ConsoleChoice): void {
  if (detaches && consoleSocket === undefined && terminal())
    throw new OperationError({
      kind: 'invalid',
      operation,
      reason: 'cannot allocate tty if runc will detach without setting console socket',
      hint: 'give --console-socket, or run it in the foreground, or without a terminal',
    })
  if (consoleSocket !== undefined && !terminal())
    throw new OperationError({
      kind: 'invalid',
      operation,
      reason: 'cannot use console socket if runc will not detach or allocate tty',
      hint: 'leave --console-socket away, or set process.terminal',
    })
}
