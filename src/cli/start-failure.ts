/** How `run`, `start` and `exec` end when there is no program: docker's words and statuses. */

import { OperationError } from '../base/errors.ts'

const FAILURE = 1
const CANNOT_INVOKE = 126
const NOT_FOUND = 127

type Fields = ConstructorParameters<typeof OperationError>[0]

class StartError extends OperationError {
  readonly status: number
  readonly #fields: Fields

  constructor(fields: Fields, status: number) {
    super(fields)
    this.status = status
    this.#fields = fields
  }

  withStatus(status: number): StartError {
    return new StartError(this.#fields, status)
  }
}

/** The exit status of one about the program; undefined for any other error. */
export const startStatus = (error: unknown): number | undefined =>
  error instanceof StartError ? error.status : undefined

/** What lies behind the words of docker: which call, on what, and why it was made. */
export const behindStart = (error: unknown): unknown => (error instanceof StartError ? error.cause : error)

/** An error about the program of a container in docker's words; any other as it is. */
export function startFailure(error: unknown, args: readonly string[]): unknown {
  const [program = ''] = args
  if (!(error instanceof OperationError) || !isAboutProgram(error, program)) return error
  const isMissing = error.code === 'ENOENT' || error.code === 'ENOTDIR'
  const words = program.includes('/')
    ? isMissing
      ? `stat ${program}: no such file or directory`
      : (WORDS[error.code ?? ''] ?? error.code ?? 'cannot be executed')
    : isMissing
      ? 'executable file not found in $PATH'
      : (WORDS[error.code ?? ''] ?? error.code ?? 'cannot be executed')
  return new StartError(
    {
      kind: error.kind,
      operation: 'run the program',
      reason: `exec: ${JSON.stringify(program)}: ${words}`,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      see: error.see,
      cause: error,
    },
    isMissing ? NOT_FOUND : CANNOT_INVOKE,
  )
}

/**
 * The same for `exec`, of which docker says in this way as well that there is no such user or directory. Of one in the background its client
 * knows no status: that of any failure.
 */
export function execFailure(error: unknown, args: readonly string[], isDetached: boolean): unknown {
  const failure = attachedFailure(error, args)
  return isDetached && failure instanceof StartError ? failure.withStatus(FAILURE) : failure
}

function attachedFailure(error: unknown, args: readonly string[]): unknown {
  const failure = startFailure(error, args)
  if (!(failure instanceof OperationError) || !/^(run as user|start in) /.test(failure.operation)) return failure
  const { kind, operation, message, hint, see } = failure
  const reason = message.slice(`cannot ${operation}: `.length)
  return new StartError(
    { kind, operation, reason, ...(hint === undefined ? {} : { hint }), see, cause: failure },
    CANNOT_INVOKE,
  )
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ENOEXEC: 'exec format error',
  EISDIR: 'is a directory',
  E2BIG: 'argument list too long',
  ETXTBSY: 'text file busy',
}

/** plan/exec-target.ts: it is looked for, and then executed. */
const isAboutProgram = ({ operation, syscall = '' }: OperationError, program: string): boolean =>
  operation === `find ${program}` || operation === `find ${program} in $PATH` || syscall.startsWith('execve(')
