/** criu as it is on this machine: where it is, what it is told about a container, and what its log says when it failed. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { nearest } from '../base/nearest.ts'
import type { Config } from '../oci/config.ts'
import { CGROUP_MODES, type CgroupMode, type Criu, type CriuOptions, EXTERNAL_NAMESPACES } from '../plan/criu.ts'
import { type NamespacePlan, planNamespaces } from '../plan/namespaces.ts'
import type { Machine } from './machine.ts'
import { isOwnNamespace } from './namespaces.ts'

/** What the caller of checkpoint and restore may ask of criu. */
export type CriuCall = CriuOptions

/** Throws `invalid` for a word that is no mode. */
export function cgroupModeOf(word: string): CgroupMode {
  const found = CGROUP_MODES.find((mode) => mode === word)
  if (found !== undefined) return found
  const near = nearest(word, CGROUP_MODES)
  throw new OperationError({
    kind: 'invalid',
    operation: 'manage cgroups',
    reason: `invalid manage cgroups mode "${word}"`,
    hint: near === undefined ? `use one of ${CGROUP_MODES.join(', ')}` : `did you mean ${near}?`,
    see: ['criu(8)'],
  })
}

/** Throws `missing`, and names the package, if there is none. `config` may name a file of options by the annotation that runc knows. */
export function findCriu(
  files: Files,
  env: ReadonlyMap<string, string>,
  { annotations }: Pick<Config, 'annotations'>,
): Criu {
  const searchPath = env.get('PATH') ?? ''
  const path = searchPath
    .split(':')
    .map((directory) => `${directory}/criu`)
    .find((candidate) => candidate.startsWith('/') && isProgram(files, candidate))
  if (path === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: 'run criu',
      reason: `there is no criu in $PATH (${searchPath})`,
      hint: 'install it: apt-get install criu, which is the package of Debian',
      see: ['criu(8)'],
    })
  const configFile = annotations[CONFIG_ANNOTATION] ?? USUAL_CONFIG
  const environment = ['PATH', 'HOME'].flatMap((name) => (env.has(name) ? [`${name}=${env.get(name)}`] : []))
  return { path, environment, ...(files.status(configFile)?.kind === 'file' ? { configFile } : {}) }
}

/** As in runc: docs/checkpoint-restore.md. */
const CONFIG_ANNOTATION = 'org.criu.config'
const USUAL_CONFIG = '/etc/criu/runc.conf'

function isProgram(files: Files, path: string): boolean {
  const status = files.status(path)
  return status?.kind === 'file' && (status.mode & 0o111) !== 0
}

export interface JoinedNamespace {
  readonly type: 'network' | 'pid'
  /** What criu calls it: `net`, `pid`. */
  readonly name: string
  /** By which a restore finds it. */
  readonly key: string
}

export interface CriuNamespaces extends Pick<NamespacePlan, 'open' | 'isNew'> {
  readonly joined: readonly JoinedNamespace[]
}

/** The namespaces of others that the container is in; one that is the host's is none of them, as criu itself is in it. */
export function namespacesFor(files: Files, { linux }: Config): CriuNamespaces {
  const plan = planNamespaces({ ...linux, isHosts: hostsNamespace(files, linux) })
  const joined = (['network', 'pid'] as const).filter(plan.isJoined).map((type): JoinedNamespace => {
    const [name, key] = EXTERNAL_NAMESPACES[type]
    return { type, name, key }
  })
  return { open: plan.open, isNew: plan.isNew, joined }
}

/** Whether a namespace that is joined is the one that coffer itself is in. */
export const hostsNamespace =
  (files: Files, { namespaces }: Pick<Config['linux'], 'namespaces'>) =>
  (type: Config['linux']['namespaces'][number]['type']): boolean => {
    const path = namespaces.find((one) => one.type === type)?.path
    return path !== undefined && isOwnNamespace(files, type, path)
  }

export interface LoggedRun<Result> {
  /** The operation of the step that fails if criu does. */
  readonly why: string
  readonly log: string
  readonly run: () => Result
}

/** Runs a plan in which criu does the work; if criu fails, the error has what criu wrote last. */
export function withLog<Result>({ files }: Machine, { why, log, run }: LoggedRun<Result>): Result {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof OperationError) || error.operation !== why || error.code !== 'ECANCELED') throw error
    throw failedCriu(error, errorsIn(files.readText(log) ?? ''), log)
  }
}

function failedCriu(cause: OperationError, lines: readonly string[], log: string): OperationError {
  const advice = HINTS.find(([pattern]) => lines.some((line) => pattern.test(line)))?.[1]
  return new OperationError({
    kind: 'kernel',
    operation: cause.operation,
    // Without a log it is the end of criu that says most.
    reason: lines.length === 0 ? `criu failed: ${cause.message}` : `criu failed: ${lines.slice(-3).join('; ')}`,
    path: log,
    hint: `${advice === undefined ? '' : `${advice}; `}its log is ${log}`,
    see: ['criu(8)'],
    cause,
  })
}

/** Lines that say nothing about the cause, or that criu gets over. */
const NOISE = /exited, status=|tun: |iptables.*save -V|(?:Dumping|Restoring) FAILED/

/** `(01.469000) Error (criu/net.c:3071): Locking network failed` */
function errorsIn(log: string): readonly string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('Error (') && !NOISE.test(line))
    .map((line) => line.slice(line.indexOf('Error (') + 'Error '.length).trim())
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/iptables-restore/, 'criu holds the network still with iptables: apt-get install iptables'],
  [/execvp\("ip"/, 'criu saves the network with ip: apt-get install iproute2'],
  [/execvp\("tar"/, 'criu saves each tmpfs with tar: apt-get install tar'],
  [/tcp-established|Connected TCP socket/i, 'a TCP connection is open: give --tcp-established'],
  [/ext-unix-sk|[Ee]xternal (?:unix )?socket/, 'a unix socket leads out of the container: give --ext-unix-sk'],
  [/file-locks|[Ff]ile locks? .*(?:held|detected)/, 'a file is locked: give --file-locks'],
  [/shell-job|dangling tty/, "a terminal of the caller's is open: give --shell-job"],
  [/has bad mode/, 'give restore standard streams of the same kind as the container had: pipes, files, /dev/null'],
  [/kerndat|vdso/, 'this criu may be too old for this kernel; criu check tells'],
]
