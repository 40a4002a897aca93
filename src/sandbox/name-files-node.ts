/** The files of a container with a list of hosts that say where it asks for names. hosts(5), resolv.conf(5) */

import { chmodSync, lstatSync, readlinkSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { NAME_SERVER } from '../plan/egress.ts'
import type { Machine } from './machine-node.ts'

export interface NameFile {
  readonly source: string
  readonly target: string
}

/** By hostname. */
const written = new Map<string, string>()

/**
 * For a container that begins with these directories, the uppermost first; its hostname has no address but one of its loopback.
 */
export function nameFiles({ directory }: Machine, roots: readonly string[], hostname: string): readonly NameFile[] {
  const known = written.get(hostname)
  const hosts = known ?? join(directory, `${written.size}.hosts`)
  const resolvConf = join(directory, 'resolv.conf')
  if (known === undefined) {
    writeFileSync(hosts, `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${hostname}\n`)
    writeFileSync(resolvConf, `nameserver ${NAME_SERVER}\n`)
    // Whatever the umask of the program is: users of the container read them.
    for (const path of [hosts, resolvConf]) chmodSync(path, 0o644)
    written.set(hostname, hosts)
  }
  return placed(roots, hosts, resolvConf)
}

/** The same for files that are, or will be, in a directory. */
export const nameFilesIn = (directory: string, roots: readonly string[]): readonly NameFile[] =>
  placed(roots, join(directory, 'hosts'), join(directory, 'resolv.conf'))

const placed = (roots: readonly string[], hosts: string, resolvConf: string): readonly NameFile[] => [
  { source: hosts, target: behindLinks(roots, '/etc/hosts') },
  { source: resolvConf, target: behindLinks(roots, '/etc/resolv.conf') },
]

const MOST_LINKS = 8

/**
 * Where a file of the container is that may be a link to one which is not there: systemd-resolved has its own below /run, and a container an
 * empty /run. That no link leads out is seen to when it is mounted (SECURITY-CHECKS S17).
 */
function behindLinks(roots: readonly string[], path: string): string {
  let at = path
  for (let links = 0; links < MOST_LINKS; links++) {
    const to = linkAt(roots, at)
    if (to === undefined) return at
    at = posix.resolve(posix.dirname(at), to)
  }
  return path
}

/** The uppermost that has it decides. */
function linkAt(roots: readonly string[], path: string): string | undefined {
  const kinds = roots.map((root) => kindAt(join(root, path)))
  return kinds.find((kind) => kind !== 'absent')?.link
}

type Kind = 'absent' | { readonly link: string | undefined }

function kindAt(path: string): Kind {
  try {
    return { link: lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined }
  } catch {
    // Not there, or not for this caller to see, who cannot mount there either.
    return 'absent'
  }
}
