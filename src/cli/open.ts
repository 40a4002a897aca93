/** The engine for a command: where it keeps its things, by flags, environment and who is calling. */

import type { Native } from '../base/native.ts'
import { openMachine } from '../container/open.ts'
import type { Engine } from '../engine/place.ts'
import { must } from '../executor/embedded-call.ts'
import { environment } from './environment.ts'

export interface Session {
  readonly native: Native
  readonly engine: Engine
  readonly cwd: string
  readonly env: ReadonlyMap<string, string>
}

/** `$COFFER_DATA_ROOT` and `$COFFER_RUN_ROOT` say otherwise, for tests and for several engines on one machine. */
export function openSession(native: Native): Session {
  const env = environment(native)
  const { machine, cwd } = openMachine(native, {
    root: env.get('COFFER_RUN_ROOT'),
    runtimeDirectory: env.get('XDG_RUNTIME_DIR'),
  })
  const isRoot = must(native, 'learn who is calling', 'geteuid') === 0
  const own = `${env.get('XDG_DATA_HOME') ?? `${env.get('HOME') ?? ''}/.local/share`}/coffer`
  const dataRoot = env.get('COFFER_DATA_ROOT') ?? (isRoot ? '/var/lib/coffer' : own)
  return { native, cwd, env, engine: { machine, dataRoot, program: machine.files.readLink('/proc/self/exe') ?? '' } }
}
