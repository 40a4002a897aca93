/** Containers for the tests of namespaces: a bundle with busybox, a list of namespaces as words, and the program as it is shipped. */

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeRootfs } from './bundle.ts'

const DIST = join(import.meta.dir, '..', '..', 'dist')
export const COFFER_RUNC: string = join(DIST, 'coffer-runc')
export const COFFER: string = join(DIST, 'coffer')

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What differs from a plain container. */
export interface Wanted {
  /** Words such as `pid` for a new namespace, and `network=/proc/17/ns/net` for one to join. */
  readonly namespaces: string
  /** For `sh -c`. */
  readonly script?: string
  readonly process?: object
  readonly linux?: object
  /** All of `mounts`, instead of the usual ones. */
  readonly mounts?: readonly object[]
  readonly config?: object
}

/** The namespaces of an ordinary container. */
export const USUAL = 'pid mount ipc uts network cgroup'

export interface Place extends Disposable {
  /** A directory that every user may enter. */
  readonly directory: string
  readonly rootfs: string
  /** Runs a container to its end. `as` is a command in front of the program's own, e.g. setpriv. */
  readonly run: (wanted: Wanted, as?: readonly string[]) => Outcome
  /** Starts a container that sleeps. */
  readonly start: (wanted: Wanted, as?: readonly string[]) => Live
  readonly runc: (args: readonly string[], as?: readonly string[]) => Outcome
  /** For commands that leave a process behind: a pipe for its output would not end before it. Both outputs are in stderr. */
  readonly quietly: (args: readonly string[], as?: readonly string[]) => Outcome
  /** Writes a bundle, and answers its directory. */
  readonly bundle: (wanted: Wanted) => string
}

export interface Live extends Disposable {
  readonly id: string
  readonly pid: number
  readonly exec: (script: string, flags?: readonly string[]) => Outcome
}

export function sh(script: string, ...args: readonly string[]): Outcome {
  return spawn(['sh', '-c', script, 'sh', ...args])
}

export function spawn(command: readonly string[]): Outcome {
  const result = Bun.spawnSync([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', timeout: 50_000 })
  return {
    exitCode: result.exitCode,
    stdout: result.stdout.toString(),
    stderr: result.stderr.toString(),
  }
}

/**
 * What a command prints in a terminal at which nobody types. Its input has no end: for that script(1) types a character, at any moment.
 * `silent` is the path of a fifo.
 */
export const inScript = (silent: string, command: string, as: readonly string[] = []): string =>
  spawn([
    ...['sh', '-c', '[ -p "$0" ] || mkfifo "$0"; exec "$@" <>"$0"', silent],
    ...[...as, 'script', '-qec', command, '/dev/null'],
  ]).stdout.replaceAll('\r', '')

export function place(): Place {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-ns-'))
  chmodSync(directory, 0o755)
  const rootfs = join(directory, 'rootfs')
  makeRootfs(rootfs)
  let count = 0
  const name = (): string => `ns-${process.pid}-${count++}`
  const runs = join(directory, 'run')
  mkdirSync(runs)
  chmodSync(runs, 0o1777)
  const runc: Place['runc'] = (args, as = []) => spawn([...as, COFFER_RUNC, '--root', rootOf(runs, as), ...args])
  const bundle = (wanted: Wanted): string => writeBundle(join(directory, `bundle-${count++}`), rootfs, wanted)
  const quietly: Place['quietly'] = (args, as = []) => {
    const output = join(directory, 'output')
    const script = 'out=$1; shift; exec "$@" >"$out" 2>&1 </dev/null'
    const command = ['sh', '-c', script, 'sh', output, ...as, COFFER_RUNC, '--root', rootOf(runs, as), ...args]
    const { exitCode } = spawn(command)
    return { exitCode, stdout: '', stderr: readFileSync(output, 'utf8') }
  }
  return {
    directory,
    rootfs,
    runc,
    quietly,
    bundle,
    run: (wanted, as) => runc(['run', '--bundle', bundle(wanted), name()], as),
    start: (wanted, as = []) => startIn({ runc, quietly, bundle, id: name() }, wanted, as),
    [Symbol.dispose]: () => {
      const left = removeAll(runs)
      rmSync(directory, { recursive: true })
      if (left.length > 0) throw new Error(`these containers were left: ${left.join(' ')}`)
    },
  }
}

/** Answers which containers had not been removed. */
function removeAll(runs: string): readonly string[] {
  return readdirSync(runs).flatMap((name) => {
    const root = join(runs, name)
    const ids = readdirSync(root).filter((id) => !id.startsWith('.'))
    for (const id of ids) spawn([COFFER_RUNC, '--root', root, 'delete', '--force', id])
    return ids
  })
}

/** Each caller has a run root of its own, as the first one to come makes it. */
const rootOf = (runs: string, as: readonly string[]): string => join(runs, `${Bun.hash(as.join(' '))}`)

interface Starting extends Pick<Place, 'runc' | 'quietly' | 'bundle'> {
  readonly id: string
}

function startIn({ runc, quietly, bundle, id }: Starting, wanted: Wanted, as: readonly string[]): Live {
  const process = { args: ['sleep', '600'], ...wanted.process }
  const { exitCode, stderr } = quietly(['run', '--detach', '--bundle', bundle({ ...wanted, process }), id], as)
  if (exitCode !== 0) throw new Error(stderr)
  return {
    id,
    pid: JSON.parse(runc(['state', id], as).stdout).pid,
    exec: (script, flags = []) => runc(['exec', ...flags, id, 'sh', '-c', script], as),
    [Symbol.dispose]: () => {
      runc(['delete', '--force', id], as)
    },
  }
}

export interface KeptNetwork {
  readonly file: string
  /** Goes in front of a command, and runs `afterwards` behind it, in which `$file` is the file. */
  readonly as: (afterwards: string) => readonly string[]
}

/** A network namespace that only a bind mount keeps, in a mount namespace that only the command is in. */
export function keptNetwork({ directory }: Pick<Place, 'directory'>): KeptNetwork {
  const file = join(directory, 'network')
  const as = (afterwards: string): readonly string[] => {
    const script = `file=${file}; touch $file && unshare --net=$file true && "$@" && ${afterwards}`
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh']
  }
  return { file, as }
}

export const MOUNTS: readonly object[] = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
]

function writeBundle(directory: string, rootfs: string, wanted: Wanted): string {
  mkdirSync(directory)
  const document = {
    ociVersion: '1.2.0',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['sh', '-c', wanted.script ?? 'true'],
      env: ['PATH=/bin'],
      cwd: '/',
      ...wanted.process,
    },
    root: { path: rootfs },
    mounts: wanted.mounts ?? MOUNTS,
    linux: { namespaces: namespaces(wanted.namespaces), ...wanted.linux },
    ...wanted.config,
  }
  writeFileSync(join(directory, 'config.json'), JSON.stringify(document))
  return directory
}

const namespaces = (words: string): readonly object[] =>
  words
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => {
      const [type, path] = word.split('=')
      return path === undefined ? { type } : { type, path }
    })

/** The whole range of ids that one user namespace of a test maps. */
export const ids = (hostID: number, size = 65_536): object => ({
  uidMappings: [{ containerID: 0, hostID, size }],
  gidMappings: [{ containerID: 0, hostID, size }],
})
