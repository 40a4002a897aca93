/** Where messages go: standard error for the person, and the file that --log names for the engine that called. */

import { describeError, OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { close, open, writeText } from '../executor/embedded-files.ts'
import { O_APPEND, O_CREAT, O_WRONLY } from '../linux/files.ts'

export interface Log {
  /** Writes to standard output; answers the exit status 0. */
  readonly print: (text: string) => number
  readonly warn: (text: string) => void
  readonly failure: (error: unknown) => void
}

export function logTo(native: Native, path: string | undefined, format: 'text' | 'json'): Log {
  const line = (level: 'error' | 'warning', text: string): string => {
    const time = new Date().toISOString()
    return format === 'json'
      ? `${JSON.stringify({ level, msg: text, time })}\n`
      : `time="${time}" level=${level} msg=${JSON.stringify(text)}\n`
  }
  const append = (text: string): void => {
    if (path === undefined) return
    const fd = open(native, path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    writeText(native, fd, text)
    close(native, fd)
  }
  return {
    print: (text) => {
      writeText(native, 1, text)
      return 0
    },
    warn: (text) => {
      append(line('warning', text))
      if (path === undefined) writeText(native, 2, `warning: ${text}\n`)
    },
    failure: (error) => {
      writeText(native, 2, `error: ${forPeople(error)}\n`)
      append(line('error', forEngines(error)))
    },
  }
}

/**
 * podman takes no log from a runtime that is not among `runtime_supports_json` of containers.conf. It reads standard error then, and tells a
 * program that is missing (127) by the words in the first line.
 */
function forPeople(error: unknown): string {
  const text = describeError(error)
  if (!(error instanceof OperationError) || error.code !== 'ENOENT' || error.syscall === undefined) return text
  return error.operation.startsWith('find ')
    ? text.replace(error.message, (line) => `${line}: ${wordsOf(error)}`)
    : text
}

/**
 * One line, with the words that engines look for: dockerd and podman tell 126 from 127 by "permission denied" and "no such file or
 * directory" in it, containerd a repeated kill by "process already finished".
 */
function forEngines(error: unknown): string {
  if (!(error instanceof OperationError)) return String(error)
  const words = wordsOf(error)
  const hint = error.hint === undefined ? '' : ` (${error.hint})`
  return words === undefined ? `${error.message}${hint}` : `${error.message}: ${words}${hint}`
}

/** dockerd and podman know a program that is nowhere in $PATH by what Go's exec.ErrNotFound says. */
function wordsOf({ operation, code }: OperationError): string | undefined {
  if (code === 'ENOENT' && operation.endsWith(' in $PATH')) return 'executable file not found in $PATH'
  return code === undefined ? undefined : WORDS.get(code)
}

/** strerror(3) */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file or directory'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['ENOEXEC', 'exec format error'],
  ['ENOTDIR', 'not a directory'],
  ['EISDIR', 'is a directory'],
  ['EEXIST', 'file exists'],
  ['EBUSY', 'device or resource busy'],
  ['EINVAL', 'invalid argument'],
  ['ENOSPC', 'no space left on device'],
  ['ENOMEM', 'cannot allocate memory'],
])
