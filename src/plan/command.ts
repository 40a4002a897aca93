/** The end of a tool's plan: the process becomes the program that the tool was given, with what it was started with. */

import { strings } from '../linux/call.ts'
import { execve, INHERITED_ENVIRONMENT } from '../linux/process.ts'
import type { Step } from './plan.ts'

export interface Command {
  /** argv; the program is looked for under its first item. */
  readonly args: readonly string[]
  /** $PATH of the caller. */
  readonly path: string
  /** What the program shall see as argv[0], if not that: a shell reads its profile if it begins with a dash. */
  readonly name?: string
  /** Where the program is, if that is known already; it is looked for in `path` otherwise. */
  readonly file?: string | undefined
  /** `NAME=value` each, in place of what the process was started with. */
  readonly env?: readonly string[]
}

/** Where execvp(3) looks without $PATH. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const NOT_HERE = ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'] as const

export function planCommand({ args, path, name, env, file }: Command): readonly Step[] {
  const [program = '', ...rest] = args
  const candidates = program.includes('/') || file !== undefined ? [file ?? program] : placesOf(program, path)
  const words = strings([name ?? program, ...rest])
  return [...new Set(candidates)].map((candidate, index, { length }) => ({
    call: execve(candidate, words, env === undefined ? INHERITED_ENVIRONMENT : strings(env)),
    why: `run ${program}`,
    see: ['execve(2)', 'environ(7)'],
    ...(index < length - 1 ? { tolerate: NOT_HERE } : {}),
  }))
}

/** In the order of $PATH; an empty part of it is the working directory. */
export const placesOf = (program: string, path: string): readonly string[] =>
  (path === '' ? DEFAULT_PATH : path).split(':').map((directory) => `${directory === '' ? '.' : directory}/${program}`)
