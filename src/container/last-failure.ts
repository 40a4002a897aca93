/**
 * The last failure of coffer, or of a container of the engine: one small file below the run root, for `coffer why`.
 *
 * It has what an error says, and the step that failed as `explain` shows it, without the environment. What cannot be kept is lost: who keeps
 * it has a failure to tell of already.
 */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { tryLock, writeText } from '../executor/embedded-files.ts'
import { timeMs } from '../executor/embedded-process.ts'
import { AT_FDCWD, LOCK_UN, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from '../linux/files.ts'
import type { Machine } from './machine.ts'
import { LAST_FILE } from './store.ts'

export interface CommandFailure {
  readonly kind: 'command'
  /** RFC 3339, UTC. */
  readonly at: string
  /** Without operands: `coffer netns add`. */
  readonly command: string
  /** As it was named, where the command says which. */
  readonly container?: string
  readonly status: number
  readonly error: FailureText
}

export interface FailureText {
  readonly message: string
  readonly kind?: string
  readonly code?: string
  readonly syscall?: string
  readonly path?: string
  readonly step?: string
  readonly hint?: string
  readonly see: readonly string[]
}

/** The end of a container; `end` is the engine's. */
export interface ContainerFailure {
  readonly kind: 'container'
  readonly at: string
  readonly id: string
  readonly name: string
  readonly hasOwnPids: boolean
  readonly end: unknown
}

export type LastFailure = CommandFailure | ContainerFailure

const MAX_TEXT = 2000
const short = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`)

export const commandFailure = (
  native: Native,
  failed: Omit<CommandFailure, 'kind' | 'at' | 'error'>,
  error: unknown,
): CommandFailure => ({
  kind: 'command',
  at: new Date(timeMs(native)).toISOString(),
  ...failed,
  error: failureText(error),
})

function failureText(error: unknown): FailureText {
  if (!(error instanceof OperationError)) return { message: short(String(error)), see: [] }
  const { message, kind, code, syscall, path, step, hint, see } = error
  const texts = Object.entries({ code, syscall, path, step, hint }).flatMap(([name, text]) =>
    text === undefined ? [] : [[name, short(text)] as const],
  )
  return { message: short(message), kind, ...Object.fromEntries(texts), see: see.slice(0, 16).map(short) }
}

/**
 * A descriptor of the run root, made if it is not there: a tool that fails may be in another root by then, and must not write there.
 * Undefined where the caller may not.
 */
export function openRunRoot(native: Native, root: string): number | undefined {
  const flags = O_RDONLY | O_DIRECTORY[native.architecture] | O_CLOEXEC
  const opened = attempt(native, 'openat', AT_FDCWD, root, flags, 0)
  if (opened >= 0) return opened
  if (attempt(native, 'mkdirat', AT_FDCWD, root, 0o711) < 0) return undefined
  const made = attempt(native, 'openat', AT_FDCWD, root, flags, 0)
  return made < 0 ? undefined : made
}

/** `runRoot` is from openRunRoot. Of two failures at once, one is kept. */
export function keepFailure(native: Native, runRoot: number | undefined, failure: LastFailure): void {
  if (runRoot === undefined) return
  const fresh = `${LAST_FILE}.new`
  try {
    if (!tryLock(native, runRoot)) return
    attempt(native, 'unlinkat', runRoot, fresh, 0)
    const fd = attempt(native, 'openat', runRoot, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if (fd < 0) return
    writeText(native, fd, JSON.stringify({ version: 1, ...failure }))
    attempt(native, 'close', fd)
    attempt(native, 'renameat2', runRoot, fresh, runRoot, LAST_FILE, 0)
  } catch (error) {
    // The disk is full.
    attempt(native, 'unlinkat', runRoot, fresh, 0)
    if (!(error instanceof OperationError)) throw error
  } finally {
    // Who starts a container again, or goes on to the next of many, lives on.
    attempt(native, 'flock', runRoot, LOCK_UN)
  }
}

/** Undefined if there is none that coffer wrote whole. */
export function readLastFailure({ files, root }: Pick<Machine, 'files' | 'root'>): LastFailure | undefined {
  const text = files.readText(`${root}/${LAST_FILE}`)
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as Partial<LastFailure> & { readonly version?: number }
    return value.version === 1 && (value.kind === 'command' || value.kind === 'container')
      ? (value as LastFailure)
      : undefined
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined
    throw cause
  }
}
