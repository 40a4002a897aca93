/**
 * What a command under Landlock may reach: a view of this machine without secrets, as a list of files and directories.
 *
 * A rule allows all below a directory, and none takes away. So of a directory in which a secret may be, what is in it is listed in its place:
 * what appears there later is not reached. docs/decisions/0021
 */

import type { FileRule } from '../plan/landlocked.ts'
import { invalid, type Mount } from './options.ts'

export interface Listed {
  readonly name: string
  readonly kind: 'directory' | 'file' | 'other'
}

export interface View {
  /** Absolute paths that nobody shall read, with all below them. They need not be there. */
  readonly hidden: readonly string[]
  /** What is in a directory, links left out; empty for one that cannot be read. */
  readonly list: (directory: string) => readonly Listed[]
}

/** Of others, or made of what others do: the command gets a directory of its own, and devices by name. */
const NOT_ITS_OWN = ['/tmp', '/var/tmp', '/run', '/var/run', '/dev', '/lost+found']
const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom']
const MOST_RULES = 8192

/** Throws `invalid` for a mount that would show a secret, or show something in another place. */
export function rulesFor(view: View, mounts: readonly Mount[], own: readonly FileRule[]): readonly FileRule[] {
  for (const [index, mount] of mounts.entries()) checkMount(`mounts[${index}]`, mount, view)
  const hidden = [...view.hidden, ...NOT_ITS_OWN]
  const rules = [
    ...below('/', { ...view, hidden }),
    ...DEVICES.map((path): FileRule => ({ path, isDirectory: false, access: 'data', isNeeded: false })),
    ...own,
  ]
  if (rules.length > MOST_RULES)
    throw invalid(
      `the directories with secrets have ${rules.length} entries, more than ${MOST_RULES} rules of Landlock`,
      'grant the secrets, or run it where a user namespace can be made',
    )
  return rules
}

function below(directory: string, view: View): readonly FileRule[] {
  const base = directory === '/' ? '' : directory
  return view.list(directory).flatMap(({ name, kind }): readonly FileRule[] => {
    const path = `${base}/${name}`
    if (kind === 'other' || view.hidden.includes(path)) return []
    if (kind === 'directory' && view.hidden.some((one) => one.startsWith(`${path}/`))) return below(path, view)
    return [{ path, isDirectory: kind === 'directory', access: 'read', isNeeded: false }]
  })
}

function checkMount(field: string, { source, target = source }: Mount, { hidden }: View): void {
  if (!source.startsWith('/')) throw invalid(`${field} has the path ${JSON.stringify(source)}`, 'begin it with a slash')
  if (target !== source)
    throw invalid(
      `${field}.target is ${target}, and without namespaces everything stays where it is`,
      'leave target out',
    )
  const path = source.length > 1 ? source.replace(/\/+$/, '') : source
  const secret = hidden.find(
    (one) => one === path || one.startsWith(path === '/' ? '/' : `${path}/`) || path.startsWith(`${one}/`),
  )
  if (secret !== undefined)
    throw invalid(`${field} would show ${secret}`, `grant ${secret}, or mount a part of ${source} without it`)
}
