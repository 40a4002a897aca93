/** A user without privilege, with a name and with ranges in /etc/subuid and /etc/subgid, which only the processes behind a command know of. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const SOMEONE = 4711
/** 65,536 ids from here on. */
export const FIRST_SUBID = 500_000

export const asSomeone: readonly string[] = [
  'setpriv',
  '--reuid',
  `${SOMEONE}`,
  '--regid',
  `${SOMEONE}`,
  '--clear-groups',
]

/** The words before a command; `directory` keeps what they need. */
export function asSomeoneWithRanges(directory: string): readonly string[] {
  const file = (name: string, content: string): string => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  const passwd = file('passwd', `${readFileSync('/etc/passwd')}someone:x:${SOMEONE}:${SOMEONE}::/nowhere:/bin/sh\n`)
  const ranges = file('subuid', `someone:${FIRST_SUBID}:65536\n`)
  const binds = [`${passwd} /etc/passwd`, `${ranges} /etc/subuid`, `${ranges} /etc/subgid`]
  for (const path of ['/etc/subuid', '/etc/subgid']) if (!existsSync(path)) writeFileSync(path, '')
  const script = `${binds.map((bind) => `mount --bind ${bind}`).join(' && ')} && exec "$@"`
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...asSomeone]
}
