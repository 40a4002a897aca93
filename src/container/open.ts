/** The machine as a one-shot program finds it: its files, its user, and where that user's containers are kept. */

import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { architectureOf, must } from '../executor/embedded-call.ts'
import { embeddedFiles } from '../observe/files-embedded.ts'
import { isInitialUserNamespace } from '../observe/host.ts'
import type { Machine } from './machine.ts'

export interface OpenOptions {
  /** The run root; without it /run/coffer, or the user's own runtime directory where the caller is not root. */
  readonly root?: string | undefined
  /** $XDG_RUNTIME_DIR */
  readonly runtimeDirectory?: string | undefined
}

export interface Opened {
  readonly machine: Machine
  readonly cwd: string
}

export function openMachine(native: Native, { root, runtimeDirectory }: OpenOptions): Opened {
  const cwd = currentDirectory(native)
  const given = root?.startsWith('/') === false ? `${cwd}/${root}` : root
  const files = embeddedFiles(native, architectureOf(native))
  return {
    cwd,
    machine: {
      native,
      files,
      root: given ?? defaultRoot(native, files, runtimeDirectory),
      now: () => new Date(),
    },
  }
}

/** Of containers that root makes. */
export const SYSTEM_RUN_ROOT = '/run/coffer'

function defaultRoot(native: Native, files: Files, runtimeDirectory = ''): string {
  const uid = must(native, 'learn who is calling', 'geteuid')
  // The root of a user namespace may have no say in /run, but knows where its user may write.
  if (uid === 0 && (runtimeDirectory === '' || isInitialUserNamespace(files))) return SYSTEM_RUN_ROOT
  return `${runtimeDirectory === '' ? `/run/user/${uid}` : runtimeDirectory}/coffer`
}

function currentDirectory(native: Native): string {
  const bytes = new Uint8Array(4096)
  const length = must(native, 'learn the current directory', 'getcwd', bytes, bytes.length)
  return native.decode(bytes, 0, length - 1)
}
