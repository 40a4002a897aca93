/** Keeps what failed for `coffer why`. Of the command line it has the command alone, as a flag may hold a secret. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { commandFailure, keepFailure, openRunRoot } from '../container/last-failure.ts'
import { openMachine } from '../container/open.ts'
import type { KeepFailure } from '../tools/tool.ts'
import { COMMANDS } from './commands.ts'
import { environment } from './environment.ts'

interface Failed {
  readonly command: string
  readonly words: readonly string[]
  readonly status: number
}

export function keepCommandFailure(native: Native, { command, words, status }: Failed, error: unknown): void {
  keptBy(native)(command, status, error, containerIn(command, words))
}

/** The word itself, if a command takes nothing but containers and has no flag before it. */
function containerIn(command: string, [word = '']: readonly string[]): string | undefined {
  const operands = COMMANDS.find(({ name }) => name === command)?.operands ?? ''
  return operands.startsWith('CONTAINER') && /^\w[\w.-]*$/.test(word) ? word : undefined
}

/** Opens the run root now, as a tool may be in another root when it fails. */
export function keptBy(
  native: Native,
): (...failed: [...Parameters<KeepFailure>, container?: string | undefined]) => void {
  const runRoot = runRootOf(native)
  return (command, status, error, container) => {
    const failed = { command: `coffer ${command}`.trimEnd(), status, ...(container === undefined ? {} : { container }) }
    keepFailure(native, runRoot, commandFailure(native, failed, error))
  }
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
