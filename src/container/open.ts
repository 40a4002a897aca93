/** The machine as a one-shot program finds it: its files, its user, and where that user's containers are kept. */

import type { Native } from '../base/native.ts'
import { architectureOf, must } from '../executor/embedded-call.ts'
import { embeddedFiles } from '../observe/files-embedded.ts'
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
  return {
    cwd,
    machine: {
      native,
      files: embeddedFiles(native, architectureOf(native)),
      root: given ?? defaultRoot(native, runtimeDirectory),
      now: () => new Date(),
    },
  }
}

function defaultRoot(native: Native, runtimeDirectory: string | undefined): string {
  const uid = must(native, 'learn who is calling', 'geteuid')
  if (uid === 0) return '/run/coffer'
  return `${runtimeDirectory ?? `/run/user/${uid}`}/coffer`
}

function currentDirectory(native: Native): string {
  const bytes = new Uint8Array(4096)
  const length = must(native, 'learn the current directory', 'getcwd', bytes, bytes.length)
  return native.decode(bytes, 0, length - 1)
}
