/** A user without privilege, with a name and with ranges in /etc/subuid and /etc/subgid, which only the processes behind a command know of. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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

export interface SomeonesMachine {
  /** Programs that are not installed. */
  readonly lacks?: readonly string[]
  /** The text of /etc/resolv.conf. */
  readonly resolvConf?: string | undefined
}

/** The words before a command; `directory` keeps what they need. */
export function asSomeoneWithRanges(
  directory: string,
  { lacks = [], resolvConf }: SomeonesMachine = {},
): readonly string[] {
  const file = (name: string, content: string): string => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  const passwd = file('passwd', `${readFileSync('/etc/passwd')}someone:x:${SOMEONE}:${SOMEONE}::/nowhere:/bin/sh\n`)
  const ranges = file('subuid', `someone:${FIRST_SUBID}:65536\n`)
  const binds = [`${passwd} /etc/passwd`, `${ranges} /etc/subuid`, `${ranges} /etc/subgid`]
  if (resolvConf !== undefined) binds.push(`${file('resolv.conf', resolvConf)} /etc/resolv.conf`)
  for (const path of ['/etc/subuid', '/etc/subgid']) if (!existsSync(path)) writeFileSync(path, '')
  if (lacks.length > 0) mkdirSync(join(directory, 'hidden'), { recursive: true })
  const mounts = binds.map((bind) => `mount --bind ${bind}`)
  const script = [...mounts, ...(lacks.length > 0 ? [hidden(directory, lacks)] : []), 'exec "$@"'].join(' && ')
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...asSomeone]
}

/** An overlay without them. */
const hidden = (directory: string, programs: readonly string[]): string =>
  [
    `mount -t tmpfs hidden ${directory}/hidden && mkdir ${directory}/hidden/upper ${directory}/hidden/work`,
    ...programs.map((name) => `mknod ${directory}/hidden/upper/${name} c 0 0`),
    `mount -t overlay -o lowerdir=/usr/bin,upperdir=${directory}/hidden/upper,workdir=${directory}/hidden/work hidden /usr/bin`,
  ].join(' && ')
