/** The OCI runtimes that are compared. All take runc's command line. */

import { join } from 'node:path'

export interface Program {
  readonly name: 'coffer' | 'crun' | 'runc'
  readonly version: string
  /** Its path and `--root`. */
  readonly command: readonly string[]
}

export interface Peers {
  readonly coffer: Program
  readonly crun: Program | undefined
  readonly runc: Program | undefined
}

/** A peer that is not installed is left out, and so are the rows about it. */
export function findPeers(dist: string, root: (program: string) => string): Peers {
  const found = (name: Program['name'], path: string | null): Program | undefined =>
    path === null ? undefined : { name, version: versionOf(path), command: [path, '--root', root(name)] }
  const coffer = found('coffer', join(dist, 'coffer-runc'))
  if (coffer === undefined) throw new Error('there is no coffer-runc: make build')
  return { coffer, crun: found('crun', Bun.which('crun')), runc: found('runc', Bun.which('runc')) }
}

function versionOf(path: string): string {
  const text = Bun.spawnSync([path, '--version'], { stdout: 'pipe', stderr: 'ignore' }).stdout.toString()
  return /version (\S+)/.exec(text)?.[1] ?? 'of unknown version'
}
