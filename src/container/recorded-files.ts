/** Files that remember what was read, so that it can be asked again whether the machine still gives the same answers. */

import type { Files } from '../base/files.ts'
import { type Blanks, filled } from '../executor/template.ts'

type Operation = Exclude<keyof Files, 'readBytes'>

/** What was read, where, and the answer as text. Paths have blanks where the names of a container stood. */
export type Answers = readonly (readonly [operation: Operation, path: string, answer: string | null])[]

export interface RecordedFiles {
  readonly files: Files
  readonly answers: Answers
}

/** Paths that are asked for may hold blanks; the values are filled in before the machine is asked. */
export function recordFiles(files: Files, blanks: Blanks): RecordedFiles {
  const answers: [Operation, string, string | null][] = []
  const known = new Map<string, unknown>()
  const once = <Answer>(operation: Operation, path: string, read: (path: string) => Answer): Answer => {
    const name = `${operation} ${path}`
    if (known.has(name)) return known.get(name) as Answer
    const answer = read(filled(path, blanks))
    known.set(name, answer)
    answers.push([operation, path, textOf(answer, path, blanks)])
    return answer
  }
  return {
    answers,
    files: {
      readText: (path) => once('readText', path, files.readText),
      list: (path) => once('list', path, files.list),
      readLink: (path) => once('readLink', path, files.readLink),
      status: (path) => once('status', path, files.status),
      // No plan depends on bytes.
      readBytes: files.readBytes,
    },
  }
}

/** Whether every read gives the same answer as when it was recorded. */
export const answersAsBefore = (files: Files, answers: Answers, blanks: Blanks): boolean =>
  answers.every(([operation, path, answer]) => textOf(files[operation](filled(path, blanks)), path, blanks) === answer)

/** proc_pid_mountinfo(5): the separator and the type. */
const NSFS = ' - nsfs '

function textOf(answer: unknown, path: string, blanks: Blanks): string | null {
  if (answer === undefined) return null
  // Its own files are others for each container. Which ones they are, and how long, is nothing that a plan depends on.
  if (typeof answer === 'object' && blanks.some(([blank]) => path.includes(blank)))
    return JSON.stringify({ ...answer, identity: undefined, sizeBytes: undefined, links: undefined })
  if (typeof answer !== 'string') return JSON.stringify(answer)
  // Network namespaces that are kept by a mount, those of containers first of all: no plan depends on them.
  if (path === '/proc/self/mountinfo' && answer.includes(NSFS))
    return answer
      .split('\n')
      .filter((line) => !line.includes(NSFS))
      .join('\n')
  // The third column counts the cgroups of the machine, which no plan depends on. cgroups(7) "/proc/cgroups"
  return path === '/proc/cgroups' ? answer.replace(/\t\d+\t(?=[01]\n)/g, '\t') : answer
}
