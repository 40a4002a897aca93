/** An engine for a test, with a data root, a run root and images of its own, in a network that is not this machine's. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const project = join(import.meta.dir, '..', '..')

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface TestEngine extends Disposable {
  readonly directory: string
  readonly dataRoot: string
  readonly runRoot: string
  /** Runs `coffer` with these words; a shell would take them apart. */
  readonly coffer: (...words: readonly string[]) => Ran
  /** As `coffer`, with something to read. */
  readonly cofferWith: (stdin: string | Blob, ...words: readonly string[]) => Ran
  /** As `coffer`; throws if it fails, answers what it printed without the last newline. */
  readonly must: (...words: readonly string[]) => string
  /** The words that `coffer` is, for those who start it themselves. */
  readonly command: readonly string[]
  /** What a command needs to be of this engine. */
  readonly env: Readonly<Record<string, string>>
  readonly spawn: (...words: readonly string[]) => Bun.Subprocess<'pipe', 'pipe', 'pipe'>
  /** As `spawn`, by a command that starts the program. */
  readonly spawnThrough: (
    through: readonly string[],
    ...words: readonly string[]
  ) => Bun.Subprocess<'pipe', 'pipe', 'pipe'>
}

/** These tests change addresses, devices and rules of the network that they are in. */
export function needOwnNetwork(): void {
  if (process.env.COFFER_OWN_NETWORK === undefined)
    throw new Error('this would change your network: scripts/in-own-network bun test test/engine, or make test-engine')
}

/** `more` goes into the environment of each command. */
export function openTestEngine(more: Readonly<Record<string, string>> = {}): TestEngine {
  needOwnNetwork()
  const directory = mkdtempSync(join(tmpdir(), 'coffer-engine-'))
  const [dataRoot, runRoot] = [join(directory, 'data'), join(directory, 'run')]
  const env = { PATH: process.env.PATH ?? '', COFFER_DATA_ROOT: dataRoot, COFFER_RUN_ROOT: runRoot, ...more }
  const command = (words: readonly string[]): string[] => [join(project, 'dist', 'coffer'), ...words]
  const cofferWith: TestEngine['cofferWith'] = (stdin, ...words) => {
    const input = typeof stdin === 'string' ? Buffer.from(stdin) : stdin
    const { exitCode, stdout, stderr } = Bun.spawnSync(command(words), {
      env,
      stdin: input,
      stdout: 'pipe',
      stderr: 'pipe',
    })
    return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
  }
  const coffer: TestEngine['coffer'] = (...words) => cofferWith('', ...words)
  const must: TestEngine['must'] = (...words) => {
    const { status, stdout, stderr } = coffer(...words)
    if (status !== 0) throw new Error(`coffer ${words.join(' ')} ended with ${status}: ${stderr}`)
    return stdout.replace(/\n$/, '')
  }
  const spawnThrough: TestEngine['spawnThrough'] = (through, ...words) =>
    Bun.spawn([...through, ...command(words)], { env, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' })
  return {
    directory,
    dataRoot,
    runRoot,
    command: command([]),
    env,
    coffer,
    cofferWith,
    must,
    spawn: (...words) => spawnThrough([], ...words),
    spawnThrough,
    [Symbol.dispose]: () => {
      const ids = coffer('ps', '--all', '--quiet', '--no-trunc')
        .stdout.split('\n')
        .filter((id) => id !== '')
      for (const id of ids) coffer('rm', '--force', id)
      coffer('network', 'prune', '--force')
      rmSync(directory, { recursive: true })
    },
  }
}

/** The archive of a root file system of busybox, with these of its programs. */
export function busyboxArchive(directory: string): string {
  const root = join(directory, 'busybox')
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, 'etc'))
  mkdirSync(join(root, 'tmp'))
  copyFileSync(Bun.which('busybox') ?? '/bin/busybox', join(root, 'bin', 'busybox'))
  const programs =
    'sh ls cat echo sleep id hostname ps mount ip true false stat head wc env touch rm mkdir dd seq printf kill tr sort nc netstat grep nslookup ping'
  for (const name of programs.split(' ')) symlinkSync('busybox', join(root, 'bin', name))
  writeFileSync(
    join(root, 'etc', 'passwd'),
    'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home/guest:/bin/sh\n',
  )
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\nguest:x:1000:\nextra:x:2000:guest\n')
  const archive = join(directory, 'busybox.tar')
  Bun.spawnSync(['tar', '-C', root, '-cf', archive, '.'])
  return archive
}
