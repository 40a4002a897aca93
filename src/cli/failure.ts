/** Keeps what failed for `coffer why`. Of the command line it has the command alone, as a flag may hold a secret. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { commandFailure, keepFailure, openRunRoot } from '../container/last-failure.ts'
import { openMachine } from '../container/open.ts'
import type { KeepFailure } from '../tools/tool.ts'
import { environment } from './environment.ts'
import { behindStart } from './start-failure.ts'

interface Failed {
  /** With `coffer` before it. */
  readonly command: string
  readonly status: number
  /** As it was named. */
  readonly container?: string | undefined
}

export function keepCommandFailure(native: Native, { command, status, container }: Failed, error: unknown): void {
  const failed = { command: command.trimEnd(), status, ...(container === undefined ? {} : { container }) }
  keepFailure(native, runRootOf(native), commandFailure(native, failed, behindStart(error)))
}

/** Opens the run root now, as a tool may be in another root when it fails. */
export function keptBy(native: Native): KeepFailure {
  const runRoot = runRootOf(native)
  return (command, status, error) =>
    keepFailure(native, runRoot, commandFailure(native, { command: `coffer ${command}`, status }, error))
}

/** Undefined where there is none to be had, as in a directory that is gone. */
function runRootOf(native: Native): number | undefined {
  const env = environment(native)
  const places = { root: env.get('COFFER_RUN_ROOT'), runtimeDirectory: env.get('XDG_RUNTIME_DIR') }
  try {
    return openRunRoot(native, openMachine(native, places).machine.root)
  } catch (error) {
    if (error instanceof OperationError) return undefined
    throw error
  }
}
