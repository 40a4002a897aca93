/** The engine of a user without privilege, in the places that it has by itself. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asSomeone, asSomeoneWithRanges, SOMEONE, type SomeonesMachine } from '../someone.ts'
import { busyboxArchive, needOwnNetwork, type Ran } from './engine.ts'

const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')

export interface UserEngine extends Disposable {
  readonly directory: string
  readonly home: string
  readonly dataRoot: string
  readonly runRoot: string
  /** The archive of a root file system with programs of busybox, and files of root, of 1000:1000 and of 7:8. */
  readonly archive: string
  readonly coffer: (...words: readonly string[]) => Ran
  /** As `coffer`; throws if it fails, answers what it printed without the last newline. */
  readonly must: (...words: readonly string[]) => string
  /** `coffer` beside the test. */
  readonly spawn: (...words: readonly string[]) => Bun.Subprocess<'pipe', 'pipe', 'pipe'>
  /** Runs any command as this user. */
  readonly run: (...command: readonly string[]) => Ran
}

/** `machine` is for a user that has ranges. */
export function openUserEngine(hasRanges: boolean, machine: SomeonesMachine = {}): UserEngine {
  needOwnNetwork()
  const directory = mkdtempSync(join(tmpdir(), 'coffer-user-'))
  chmodSync(directory, 0o755)
  const [home, runtime] = [join(directory, 'home'), join(directory, 'xdg')]
  for (const path of [home, runtime]) {
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, SOMEONE, SOMEONE)
  }
  const through = hasRanges ? asSomeoneWithRanges(directory, machine) : asSomeone
  const env = { PATH: process.env.PATH ?? '', HOME: home, XDG_RUNTIME_DIR: runtime }
  const run: UserEngine['run'] = (...command) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...through, ...command], {
      env,
      cwd: directory,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
  }
  const coffer: UserEngine['coffer'] = (...words) => run(program, ...words)
  const must: UserEngine['must'] = (...words) => {
    const { status, stdout, stderr } = coffer(...words)
    if (status !== 0) throw new Error(`coffer ${words.join(' ')} ended with ${status}: ${stderr}`)
    return stdout.replace(/\n$/, '')
  }
  return {
    directory,
    home,
    dataRoot: join(home, '.local', 'share', 'coffer'),
    runRoot: join(runtime, 'coffer'),
    archive: archiveOf(directory),
    coffer,
    must,
    spawn: (...words) =>
      Bun.spawn([...through, program, ...words], {
        env,
        cwd: directory,
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'pipe',
      }),
    run,
    [Symbol.dispose]: () => {
      const ids = coffer('ps', '--all', '--quiet', '--no-trunc')
        .stdout.split('\n')
        .filter((id) => id !== '')
      for (const id of ids) coffer('rm', '--force', '--volumes', id)
      rmSync(directory, { recursive: true })
    },
  }
}

function archiveOf(directory: string): string {
  const archive = busyboxArchive(directory)
  const add = (script: string): void => {
    const { exitCode, stderr } = Bun.spawnSync(['sh', '-ec', script], { cwd: join(directory, 'busybox') })
    if (exitCode !== 0) throw new Error(stderr.toString())
  }
  add(`mkdir -p home/guest private; echo secret >private/file; chmod 700 private; chmod 600 private/file
    chown -R 1000:1000 home/guest private; echo x >of-7; chown 7:8 of-7; mknod null c 1 3; tar -cf ${archive} .`)
  return archive
}
