/** The engine for a command: where it keeps its things, by flags, environment and who is calling. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { once } from '../container/create.ts'
import { hostOf } from '../container/host.ts'
import type { Machine } from '../container/machine.ts'
import { openMachine, SYSTEM_RUN_ROOT } from '../container/open.ts'
import type { Engine } from '../engine/place.ts'
import { environment } from './environment.ts'

export interface Session {
  readonly native: Native
  readonly engine: Engine
  readonly cwd: string
  readonly env: ReadonlyMap<string, string>
  /** Of what the caller was warned already: what reads one file twice says once what is wrong with it. */
  readonly told: Set<string>
}

/** `$COFFER_DATA_ROOT` and `$COFFER_RUN_ROOT` say otherwise, for tests and for several engines on one machine. */
export function openSession(native: Native): Session {
  const env = environment(native)
  const { machine, cwd } = openMachine(native, {
    root: env.get('COFFER_RUN_ROOT'),
    runtimeDirectory: env.get('XDG_RUNTIME_DIR'),
  })
  const dataRoot = env.get('COFFER_DATA_ROOT') ?? dataRootBeside(machine.root, env)
  return { native, cwd, env, engine: engineOf(machine, dataRoot), told: new Set() }
}

/** For what a monitor or a plan starts, which is told where all is. */
export const openEngine = (native: Native, dataRoot: string, root: string): Engine =>
  engineOf(openMachine(native, { root }).machine, dataRoot)

const engineOf = (machine: Machine, dataRoot: string): Engine => ({
  machine,
  dataRoot,
  host: once(() => hostOf(machine)),
  program: machine.files.readLink('/proc/self/exe') ?? '',
})

/** Whoever has the run root of the whole machine has its data root too; anybody else a directory of their own. */
function dataRootBeside(runRoot: string, env: ReadonlyMap<string, string>): string {
  if (runRoot === SYSTEM_RUN_ROOT) return '/var/lib/coffer'
  const home = env.get('XDG_DATA_HOME') ?? (env.has('HOME') ? `${env.get('HOME')}/.local/share` : undefined)
  if (home !== undefined) return `${home}/coffer`
  throw new OperationError({
    kind: 'invalid',
    operation: 'find where containers are kept',
    reason: 'neither $XDG_DATA_HOME nor $HOME is set',
    hint: 'set one of them, or $COFFER_DATA_ROOT',
  })
}
