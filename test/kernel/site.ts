/** A place for the containers of one test: a bundle, a run root and a cgroup of their own, and the program as it is shipped. */

import { expect } from 'bun:test'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Changes, makeRootfs, writeConfig } from './bundle.ts'
import { type Baseline, cgroupsWith, leaks, markerFile, type Owned, settles, stateIn, takeBaseline } from './leaks.ts'
import { keysOf, ruleset } from './machine.ts'

export const PROGRAMS = {
  coffer: join(import.meta.dir, '..', '..', 'dist', 'coffer-runc') as string,
  /** The second opinion. */
  runc: 'runc',
} as const

export type Runtime = keyof typeof PROGRAMS

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CallOptions {
  readonly runtime?: Runtime
  /** Of the caller; it has nothing but PATH otherwise. */
  readonly env?: Readonly<Record<string, string>>
  /** What the caller has open, in the words of a shell, e.g. `3</etc/passwd`. */
  readonly redirect?: string
  readonly stdin?: string
  readonly cwd?: string
  /** Flags in front of the command. */
  readonly globals?: readonly string[]
  /** A command that the program is started through, e.g. `script`. */
  readonly through?: readonly string[]
}

export interface Spawned {
  readonly pid: number
  readonly kill: (signal: number | NodeJS.Signals) => void
  readonly exited: Promise<number>
  readonly outcome: () => Promise<Outcome>
}

export interface Site extends Disposable {
  /** The id of its container, and a word in the paths of all its cgroups. */
  readonly id: string
  readonly directory: string
  readonly bundle: string
  readonly rootfs: string
  readonly cgroup: string
  readonly root: (runtime?: Runtime) => string
  readonly configure: (changes?: Changes) => void
  readonly call: (args: readonly string[], options?: CallOptions) => Outcome
  readonly spawn: (args: readonly string[], options?: CallOptions) => Spawned
  /** `run` of a container with these changes, to its end. */
  readonly run: (changes?: Changes, options?: CallOptions) => Outcome
  /** What a script prints in such a container; throws if it fails. */
  readonly inside: (script: string, changes?: Changes, options?: CallOptions) => string
  /** Starts a container that sleeps; answers the pid of its init. */
  readonly up: (changes?: Changes, options?: CallOptions) => number
  readonly exec: (script: string, ...flags: readonly string[]) => Outcome
  readonly state: () => Readonly<Record<string, unknown>>
  /** Where standard output of the last call goes. */
  readonly output: () => string
  /** What is left of all that was made here. */
  readonly leaks: () => readonly string[]
  /** The same, without waiting for what is about to go. */
  readonly leaksNow: () => readonly string[]
  /** Answers what differs from now, when it is called: of a container that goes on nothing does. */
  readonly baseline: () => () => readonly string[]
}

const KEYS_MS = 20_000

let count = 0
const leftBehind: string[] = []

/** For afterEach: fails if anything of the sites that were disposed of is still on the host. */
export function expectNothingLeft(): void {
  expect(leftBehind.splice(0)).toEqual([])
}

export function makeSite(): Site {
  const id = `coffer-run-${process.pid}-${count++}`
  const directory = mkdtempSync(join(tmpdir(), 'coffer-site-'))
  // Whoever is not root in a test has to get here as well.
  chmodSync(directory, 0o755)
  const bundle = join(directory, 'bundle')
  const rootfs = join(bundle, 'rootfs')
  makeRootfs(rootfs)
  return new Place(id, directory)
}

class Place implements Site {
  readonly id: string
  readonly directory: string
  readonly bundle: string
  readonly rootfs: string
  readonly cgroup: string
  readonly #baseline: Baseline
  readonly #ruleset: readonly string[]
  #calls = 0

  constructor(id: string, directory: string) {
    this.id = id
    this.directory = directory
    this.bundle = join(directory, 'bundle')
    this.rootfs = join(this.bundle, 'rootfs')
    this.cgroup = `/${id}`
    const marker = markerFile(`${id}-callers`)
    mkdirSync(join(marker, '..'))
    this.#baseline = takeBaseline(this.#owned())
    this.#ruleset = ruleset()
  }

  root = (runtime: Runtime = 'coffer'): string => join(this.directory, `root-${runtime}`)

  configure = (changes: Changes = {}): void =>
    writeConfig(this.bundle, { 'process.args': ['sleep', '1000'], 'linux.cgroupsPath': this.cgroup, ...changes })

  spawn = (args: readonly string[], options: CallOptions = {}): Spawned => {
    const { command, out, err, stdin, env, cwd } = this.#prepare(args, options)
    const child = Bun.spawn(command, { stdin, stdout: out.fd, stderr: err.fd, env, cwd })
    closeSync(out.fd)
    closeSync(err.fd)
    return {
      pid: child.pid,
      kill: (signal) => child.kill(signal),
      exited: child.exited,
      outcome: async () => ({ exitCode: await child.exited, ...read(out.path, err.path) }),
    }
  }

  call = (args: readonly string[], options: CallOptions = {}): Outcome => {
    const { command, out, err, stdin, env, cwd } = this.#prepare(args, options)
    const { exitCode } = Bun.spawnSync(command, {
      stdin,
      stdout: out.fd,
      stderr: err.fd,
      env,
      cwd,
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    closeSync(out.fd)
    closeSync(err.fd)
    return { exitCode, ...read(out.path, err.path) }
  }

  /** Output goes to files, as pipes would not end before a detached container. */
  #prepare(args: readonly string[], options: CallOptions) {
    const { runtime = 'coffer', redirect = '', through = [], globals = [] } = options
    const number = this.#calls++
    const open = (name: string): { readonly path: string; readonly fd: number } => {
      const path = join(this.directory, `${name}-${number}`)
      return { path, fd: openSync(path, 'w') }
    }
    const stdin = options.stdin === undefined ? ('ignore' as const) : Buffer.from(options.stdin)
    const program = [...through, PROGRAMS[runtime], '--root', this.root(runtime), ...globals, ...args]
    const enter = `echo 0 >"$0" && exec "$@" ${redirect}`
    const command = ['sh', '-c', enter, markerFile(`${this.id}-callers`), ...program]
    const env = { PATH: process.env.PATH ?? '', ...options.env }
    return { command, stdin, env, cwd: options.cwd ?? this.bundle, out: open('stdout'), err: open('stderr') }
  }

  run = (changes: Changes = {}, options: CallOptions = {}): Outcome => {
    this.configure(changes)
    return this.call(['run', '--bundle', this.bundle, this.id], options)
  }

  inside = (script: string, changes: Changes = {}, options: CallOptions = {}): string => {
    const { exitCode, stdout, stderr } = this.run({ ...changes, 'process.args': ['sh', '-c', script] }, options)
    if (exitCode !== 0) throw new Error(`exit status ${exitCode}: ${stdout}${stderr}`)
    return stdout
  }

  up = (changes: Changes = {}, options: CallOptions = {}): number => {
    this.configure(changes)
    const { exitCode, stderr } = this.call(['run', '--detach', '--bundle', this.bundle, this.id], options)
    if (exitCode !== 0) throw new Error(stderr)
    return Number(this.state().pid)
  }

  exec = (script: string, ...flags: readonly string[]): Outcome =>
    this.call(['exec', ...flags, this.id, 'sh', '-c', script])

  output = (): string => join(this.directory, `stdout-${this.#calls - 1}`)

  state = (): Readonly<Record<string, unknown>> => JSON.parse(this.call(['state', this.id]).stdout)

  leaks = (): readonly string[] => {
    let found: readonly string[] = []
    settles(() => {
      found = this.leaksNow()
      return found.length === 0
    })
    return found
  }

  leaksNow = (): readonly string[] => leaks(this.#owned(), this.#baseline)

  #owned(): Owned {
    return { word: this.id, directory: this.directory, roots: [this.root(), this.root('runc')] }
  }

  baseline = (): (() => readonly string[]) => {
    const baseline = takeBaseline(this.#owned())
    return () => leaks(this.#owned(), baseline)
  };

  [Symbol.dispose](): void {
    const said = (['coffer', 'runc'] as const).flatMap((runtime) =>
      stateIn(this.root(runtime)).map((id) => this.call(['delete', '--force', id], { runtime }).stderr),
    )
    const leaks = this.leaks()
    // With the reason, if who should have removed it gave one.
    if (leaks.length > 0) leftBehind.push(...leaks, ...said)
    if (!settles(() => keysOf(this.#owned()).length === 0, KEYS_MS)) leftBehind.push(...keysOf(this.#owned()))
    const rules = ruleset()
    if (rules.join('\n') !== this.#ruleset.join('\n')) leftBehind.push(...rules)
    // An error in here would hide that of the test.
    const marker = join(markerFile(`${this.id}-callers`), '..')
    if (!settles(() => removes(marker))) leftBehind.push(`cgroup ${marker}`)
    for (const path of cgroupsWith(this.id)) removes(path)
    rmSync(this.directory, { recursive: true })
  }
}

const read = (out: string, err: string): Pick<Outcome, 'stdout' | 'stderr'> => ({
  stdout: readFileSync(out, 'utf8'),
  stderr: readFileSync(err, 'utf8'),
})

export function removes(path: string): boolean {
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    return false
  }
}

/** A file of the site, e.g. for a pid. */
export const fileOf = ({ directory }: Site, name: string, content?: string): string => {
  const path = join(directory, name)
  if (content !== undefined) writeFileSync(path, content)
  return path
}
