/**
 * The one error of coffer: what it was doing, what the kernel said, what to do about it.
 *
 * The message always reads "cannot <operation>: <call> = <ERRNO>" or "cannot <operation>: <reason>".
 */

/**
 * | kind          | meaning                                                     |
 * |---------------|-------------------------------------------------------------|
 * | `invalid`     | the request is wrong; the hint names the field              |
 * | `unsupported` | the request is right, this kernel or host cannot do it      |
 * | `denied`      | EPERM, EACCES, EROFS                                        |
 * | `missing`     | a thing that is named does not exist                        |
 * | `conflict`    | it exists already, is busy, or is in the wrong state        |
 * | `exhausted`   | no memory, space, process, descriptor left                  |
 * | `kernel`      | any other errno                                             |
 * | `bug`         | coffer itself is wrong                                      |
 */
export type ErrorKind = 'invalid' | 'unsupported' | 'denied' | 'missing' | 'conflict' | 'exhausted' | 'kernel' | 'bug'

export interface ErrorFields {
  readonly kind: ErrorKind
  /** Completes "cannot …", e.g. `limit memory of web-1`. */
  readonly operation: string
  /** Why not, where no system call said so. */
  readonly reason?: string
  /** The name of the errno, e.g. `EPERM`. */
  readonly code?: string
  /** The call as a reader would write it, e.g. `mount("/dev/null")`. */
  readonly syscall?: string
  readonly path?: string
  /** The whole call of the step that failed, as explain shows it. */
  readonly step?: string
  /** An action; only given when it is known to be right. */
  readonly hint?: string
  readonly see?: readonly string[]
  readonly cause?: unknown
}

/** What every refusal and failure of coffer is. `message` reads "cannot …: reason", and `hint`, where there is one, is an action. */
export class OperationError extends Error {
  readonly kind: ErrorKind
  readonly operation: string
  readonly code: string | undefined
  readonly syscall: string | undefined
  readonly path: string | undefined
  readonly step: string | undefined
  readonly hint: string | undefined
  readonly see: readonly string[]
  override readonly cause: unknown

  constructor(fields: ErrorFields) {
    super(visible(messageOf(fields)))
    this.name = 'OperationError'
    this.kind = fields.kind
    this.operation = fields.operation
    this.code = fields.code
    this.syscall = fields.syscall
    this.path = fields.path
    this.step = fields.step
    this.hint = fields.hint === undefined ? undefined : visible(fields.hint)
    this.see = fields.see ?? []
    this.cause = fields.cause
  }
}

/**
 * A name in a document or an image may hold an escape sequence, which would act on the terminal that the error is printed on. Lines and
 * tabs stay: a hook says something of its own.
 */
const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced.
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u00${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })

function messageOf({ operation, reason, code, syscall }: ErrorFields): string {
  if (reason !== undefined) return `cannot ${operation}: ${reason}`
  if (syscall !== undefined) return `cannot ${operation}: ${syscall} = ${code ?? 'unexpected result'}`
  return `cannot ${operation}`
}

/** The error as a person reads it: one line, then hint and sources where there are some. */
export function describeError(error: unknown): string {
  if (!(error instanceof OperationError)) return String(error)
  const lines = [error.message]
  if (error.hint !== undefined) lines.push(`hint:  ${error.hint.replace(/\n/g, '\n       ')}`)
  if (error.see.length > 0) lines.push(`see:   ${error.see.join(', ')}`)
  return lines.join('\n')
}

/** For the case that the types exclude; reaching it is a bug in coffer. */
export function unreachable(value: never): never {
  throw bug(`met ${JSON.stringify(value)}, which its types exclude`)
}

/** An assertion that did not hold; the reader is asked for the plan, so that it can be replayed. */
export function bug(reason: string): OperationError {
  return new OperationError({
    kind: 'bug',
    operation: 'go on',
    reason: `this is a bug in coffer: ${reason}`,
    hint: 'report it with the output of `coffer-runc explain --json` for the same bundle',
  })
}
