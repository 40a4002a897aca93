/** An engine for a test: with a data root, a run root, images and a network namespace of its own, so that its bridge is not this machine's. */

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
  /** Runs a program in the network namespace of the engine. */
  readonly inNetwork: (...words: readonly string[]) => Ran
  /** Runs `coffer` with these words; a shell would take them apart. */
  readonly coffer: (...words: readonly string[]) => Ran
  /** As `coffer`, with something to read. */
  readonly cofferWith: (stdin: string | Blob, ...words: readonly string[]) => Ran
  /** As `coffer`; throws if it fails, answers what it printed without the last newline. */
  readonly must: (...words: readonly string[]) => string
  readonly spawn: (...words: readonly string[]) => Bun.Subprocess<'pipe', 'pipe', 'pipe'>
}

/** `more` goes into the environment of each command. */
export function openTestEngine(more: Readonly<Record<string, string>> = {}): TestEngine {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-engine-'))
  const [dataRoot, runRoot] = [join(directory, 'data'), join(directory, 'run')]
  const env = { PATH: process.env.PATH ?? '', COFFER_DATA_ROOT: dataRoot, COFFER_RUN_ROOT: runRoot, ...more }
  const network = join(directory, 'network')
  makeNetwork(network)
  const inside = (words: readonly string[]): string[] => ['nsenter', `--net=${network}`, ...words]
  const command = (words: readonly string[]): string[] => inside([join(project, 'dist', 'coffer'), ...words])
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
  return {
    directory,
    dataRoot,
    runRoot,
    inNetwork: (...words) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync(inside(words), { stdout: 'pipe', stderr: 'pipe' })
      return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
    },
    coffer,
    cofferWith,
    must,
    spawn: (...words) => Bun.spawn(command(words), { env, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' }),
    [Symbol.dispose]: () => {
      const ids = coffer('ps', '--all', '--quiet', '--no-trunc')
        .stdout.split('\n')
        .filter((id) => id !== '')
      for (const id of ids) coffer('rm', '--force', id)
      Bun.spawnSync(['umount', network])
      rmSync(directory, { recursive: true })
    },
  }
}

/** A network namespace with `lo` on, kept by this file. */
function makeNetwork(file: string): void {
  writeFileSync(file, '')
  const { exitCode, stderr } = Bun.spawnSync(['unshare', `--net=${file}`, 'ip', 'link', 'set', 'lo', 'up'])
  if (exitCode !== 0) throw new Error(`no network namespace: ${stderr.toString()}`)
}

/** The archive of a root file system of busybox, with these of its programs. */
export function busyboxArchive(directory: string): string {
  const root = join(directory, 'busybox')
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, 'etc'))
  mkdirSync(join(root, 'tmp'))
  copyFileSync(Bun.which('busybox') ?? '/bin/busybox', join(root, 'bin', 'busybox'))
  const programs =
    'sh ls cat echo sleep id hostname ps mount ip true false stat head wc env touch rm mkdir dd seq printf kill tr sort nc netstat grep'
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
