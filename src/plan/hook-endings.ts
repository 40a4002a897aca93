/** How hooks ended, in words: for the error of one that failed, and for the warning of one that may. */

import type { Buffer } from '../linux/call.ts'
import { CLD_EXITED, SI_CODE, SI_PID, SI_STATUS } from '../linux/process.ts'
import { signalName } from '../linux/signals.ts'
import type { Hook } from '../oci/hooks.ts'
import { hookExit, poststopWords } from './hooks.ts'

export interface EndedProgram {
  /** struct siginfo of waitid(2); zeros if nobody knows. */
  readonly ending: Uint8Array
  /** The beginning of what it printed, then zeros. */
  readonly output: Uint8Array
}

/** Why the program counts as failed, e.g. `it ended with status 3, and printed "no such bridge"`; `code` is the errno of the failed step. */
export function failureText({ ending, output }: EndedProgram, code: string): string {
  const words = printedText(output)
  const end = code === 'ETIMEDOUT' ? 'it was still running' : (endText(ending) ?? 'it failed')
  return words === '' ? end : `${end}, and printed ${JSON.stringify(words)}`
}

/** Undefined if nothing is known of the end. */
function endText(ending: Uint8Array): string | undefined {
  const { code, status } = siginfoOf(ending)
  if (code === 0) return undefined
  return code === CLD_EXITED ? `it ended with status ${status}` : `it was killed by ${signalName(status)}`
}

function siginfoOf(bytes: Uint8Array): { readonly code: number; readonly pid: number; readonly status: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const word = (at: number): number => view.getInt32(at, true)
  return { code: word(SI_CODE), pid: word(SI_PID), status: word(SI_STATUS) }
}

/** What a report brings of the hooks. */
export interface HookReport {
  readonly bytes: (buffer: Buffer) => Uint8Array
  /** Of a plan that was done: those of hooks that could not be executed. */
  readonly failures: readonly { readonly pid: number; readonly errno: number }[]
}

/**
 * One sentence for each poststop hook that did not succeed. The plan ran them with planHooks and read hookReads.
 *
 * Source: oci:runtime-spec/runtime.md#lifecycle, step 13
 */
export const poststopWarnings = (
  hooks: readonly Hook[],
  { bytes, failures }: HookReport,
  errnoName: (errno: number) => string,
): readonly string[] =>
  hooks.flatMap(({ path, timeout }, index) => {
    const ending = bytes(hookExit('poststop', index))
    const { code, pid, status } = siginfoOf(ending)
    if (code === CLD_EXITED && status === 0) return []
    const failed = `the poststop hook ${path} failed`
    const errno = failures.find((failure) => failure.pid === pid)?.errno
    if (code === 0) return [`${failed}: there was no process or file for it`]
    if (errno !== undefined) return [`${failed}: it could not be executed, ${errnoName(errno)}`]
    const isLate = timeout !== undefined && code !== CLD_EXITED
    const limit = isLate ? `, after ${timeout} s at most` : ''
    return [`${failed}: ${failureText({ ending, output: bytes(poststopWords(index)) }, '')}${limit}`]
  })

/** Text of a program that may not be text: what is not UTF-8, or could change a terminal, is a question mark. */
function printedText(bytes: Uint8Array): string {
  let escaped = ''
  let plain = ''
  for (const byte of bytes) {
    if (byte === 0) continue
    escaped += byte < 0x80 && byte !== PERCENT ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`
    plain += byte < 0x80 ? String.fromCharCode(byte) : '?'
  }
  return decoded(escaped, plain).replace(UNSAFE, '?').trim()
}

const PERCENT = 0x25
/** Control characters but tab and newline; C1 is among them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is there to take them out.
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g

function decoded(escaped: string, otherwise: string): string {
  try {
    return decodeURIComponent(escaped)
  } catch {
    return otherwise
  }
}
