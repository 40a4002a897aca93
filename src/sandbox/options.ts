/** What the library is asked for. Every option has a default that gives less, not more. */

import { OperationError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { Feature } from './features.ts'
import type { Limits } from './limits.ts'
import type { Network } from './network.ts'

/**
 * | root            | the command sees                                                                                  |
 * |-----------------|---------------------------------------------------------------------------------------------------|
 * | `'host'`        | the root file system of this machine, copy-on-write, without the user's secrets and without /tmp  |
 * | `{ directory }` | that directory; what it writes is written there, unless `copyOnWrite` keeps it apart              |
 * | `{ image }`     | an image that coffer has, copy-on-write, with its environment, working directory and user; nothing is pulled |
 */
export type Root =
  | 'host'
  | { readonly directory: string; readonly copyOnWrite?: boolean | undefined }
  | { readonly image: string }

/** A file or directory of this machine that the command sees. */
export interface Mount {
  /** A path of this machine. */
  readonly source: string
  /** Where the command finds it; the same path by default. */
  readonly target?: string | undefined
  readonly writable?: boolean | undefined
}

/** A limit that cannot be one of all processes together without a cgroup. */
export type WeakLimit = 'memory' | 'swap' | 'pids' | 'cpus' | 'cpuTimeMs' | 'diskBytes'

/** What a caller may put up with: BoxOptions.accept. */
export type Acceptable = 'landlock' | 'signals' | 'attributes' | WeakLimit

/** Of the container; numbers, as names are those of its own files. */
export type UserOption = number | { readonly uid: number; readonly gid?: number | undefined }

export interface BoxOptions {
  readonly root: Root
  readonly limits?: Limits | undefined
  /** Default `none`. */
  readonly network?: Network | undefined
  readonly mounts?: readonly Mount[] | undefined
  /** Beside PATH and HOME, which have defaults; nothing of the caller's environment is passed on. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default: with `host` the caller's own, with an image what that says, else `/`. */
  readonly cwd?: string | undefined
  /** Default: what an image says, else root of the container, which has no capability. */
  readonly user?: UserOption | undefined
  readonly hostname?: string | undefined
  /** Paths of secrets (secrets.ts) that `host` shall show after all. */
  readonly grant?: readonly string[] | undefined
  /** Whether the caller is told what the container is denied: each call on a file is slower then. Default false. */
  readonly denials?: boolean | undefined
  /**
   * What to put up with where neither root nor a user namespace is to be had. `landlock`: `run` keeps the command by Landlock, seccomp and limits of
   * each process alone. A limit that is given and is weaker then has to be named as well: `['landlock', 'memory']`. Elsewhere without effect.
   */
  readonly accept?: Acceptable | readonly Acceptable[] | undefined
  /** What has to be enforced; if this machine cannot, nothing is run. A limit that is given is required without being named here. */
  readonly requires?: readonly Feature[] | undefined
}

export interface CommandOptions {
  /** Bytes, or text in UTF-8, that the command reads; nothing by default. */
  readonly stdin?: string | Uint8Array | undefined
  /** Ends the command: verdict `killed`. A signal that is aborted already rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

export type RunOptions = BoxOptions & CommandOptions

export interface SandboxOptions extends BoxOptions {
  /** Ends the box, whenever it is aborted; before the box is up the call rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** The words that are known. */
export type Names<Options> = Readonly<Record<keyof Options, true>>

const BOX_NAMES: Names<BoxOptions> = {
  root: true,
  limits: true,
  network: true,
  mounts: true,
  env: true,
  cwd: true,
  user: true,
  hostname: true,
  grant: true,
  denials: true,
  accept: true,
  requires: true,
}

export const RUN_NAMES: Names<RunOptions> = { ...BOX_NAMES, stdin: true, signal: true }
export const SANDBOX_NAMES: Names<SandboxOptions> = { ...BOX_NAMES, signal: true }

/** What is asked of sandboxes, and what coffer has not got: the reason, and what to do. */
const UNSERVED: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  fallback: [
    'what is weaker than namespaces is not fallen back to, but accepted by name',
    "accept: 'landlock'; probe() tells what is missing for namespaces, and how to mend it",
  ],
}

/** An option that is not known would be one without effect. Throws `invalid`, and `unsupported` for what coffer has not got. */
export function checkNames(options: object, known: Readonly<Record<string, true>>): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue
    if (Object.hasOwn(UNSERVED, name)) throw unserved(name)
    if (name === 'allow') throw invalid('there is no option "allow"', "write network: { allow: ['example.com:443'] }")
    const names = Object.keys(known)
    const meant = nearest(name, names)
    throw invalid(
      `there is no option ${JSON.stringify(name)}`,
      meant === undefined ? `there are: ${names.join(', ')}` : `did you mean ${JSON.stringify(meant)}?`,
    )
  }
}

/** The refusal of an option that is in UNSERVED. */
function unserved(name: string): OperationError {
  const [reason, hint] = UNSERVED[name] ?? ['', '']
  return new OperationError({ kind: 'unsupported', operation: `serve the option ${name}`, reason, hint })
}

/** Throws `invalid`. */
export function checkNetwork(network: unknown): asserts network is Network {
  if (network === 'none' || network === 'host' || network === 'bridge') return
  if (typeof network === 'object' && network !== null && Object.keys(network).length === 1) {
    if ('allow' in network && Array.isArray(network.allow)) return
    if ('name' in network && typeof network.name === 'string') return
  }
  throw invalid(
    `network is ${JSON.stringify(network)}`,
    "use 'none', 'host', 'bridge', { name: 'NETWORK' } or { allow: ['example.com:443'] }",
  )
}

/** Throws `invalid` for a command that is none. */
export function checkCommand(command: readonly string[]): void {
  const [name] = command
  if (!Array.isArray(command) || name === undefined || name === '')
    throw invalid('command is empty', "give a list of words: ['ls', '-l']")
  for (const word of command) checkWord('command', word)
}

/** No NUL: the kernel would take the word for a shorter one (SECURITY-CHECKS S295). */
export function checkWord(field: string, word: string): void {
  if (typeof word !== 'string') throw invalid(`${field} has a ${typeof word} in it`, 'give text')
  if (word.includes('\0')) throw invalid(`${field} has a NUL in it`, 'a word of a program ends there: take it out')
}

export const invalid = (reason: string, hint: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: 'read the options', reason, hint })
