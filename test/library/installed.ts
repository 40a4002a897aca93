/** An empty folder into which coffer was installed as its users get it: from the archive of `npm pack`. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binOf } from './both-runtimes.ts'

export interface Ran {
  readonly pid: number
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface Installed extends Disposable {
  readonly directory: string
  /** A home with a secret in it. */
  readonly home: string
  /** What is in the archive: path and bytes. */
  readonly contents: readonly { readonly path: string; readonly size: number }[]
  readonly archiveBytes: number
  readonly archive: string
  /** Runs a command there, with that home. */
  readonly run: (command: readonly string[]) => Promise<Ran>
}

export const SECRET = 'this is nobody’s business'
const repository = join(import.meta.dir, '..', '..')

/** Of what npm prints. */
interface Packed {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

/** Not below /tmp, which commands in a container do not see. */
export async function install(): Promise<Installed> {
  const base = mkdtempSync('/var/tmp/coffer-package-')
  // Anybody may read it, so that what is not shown is not shown by the container.
  chmodSync(base, 0o755)
  const [directory, home] = [join(base, 'program'), join(base, 'home')]
  for (const path of [directory, join(home, '.ssh')]) mkdirSync(path, { recursive: true })
  writeFileSync(join(home, '.ssh', 'id_ed25519'), SECRET)
  const packing = await runIn(repository, ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', base])
  const [packed] = packedIn(packing.stdout)
  if (packed === undefined) throw new Error(packing.stderr)
  const archive = join(base, packed.filename)
  const installing = await runIn(directory, ['npm', 'install', '--offline', '--no-audit', '--no-fund', archive])
  if (installing.status !== 0) throw new Error(installing.stderr)
  return {
    directory,
    home,
    contents: packed.files,
    archiveBytes: packed.size,
    archive,
    run: (command) => runIn(directory, command, { HOME: home }),
    [Symbol.dispose]: () => rmSync(base, { recursive: true }),
  }
}

/** npm 12 prints an object by names, those before a list. */
const packedIn = (json: string): readonly Packed[] => Object.values(JSON.parse(json) as Record<string, Packed>)

export async function runIn(
  cwd: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const path = `${join(binOf('node'), '..')}:${process.env.PATH}`
  const child = Bun.spawn([...command], {
    cwd,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, PATH: path, ...env },
  })
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { pid: child.pid, status, stdout, stderr }
}
