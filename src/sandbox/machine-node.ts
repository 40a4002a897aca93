/**
 * What all boxes of a program share: the executor, the facts of this machine, a directory for fifos, and a number for the next container.
 *
 * It is opened with the first container and keeps no program running: an idle executor does not hold the event loop, and ends with its caller.
 */

import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { listHostParts } from '../container/host-parts.ts'
import { behindLinks } from '../container/links.ts'
import { type OwnIds, ownIds } from '../container/own-ids.ts'
import { type Executor, openExecutor } from '../executor/persistent-node.ts'
import { type Capability, capabilityBit, hasBit } from '../linux/capabilities.ts'
import { nodeFiles } from '../observe/files-node.ts'
import { readHost, readIdentity } from '../observe/host.ts'
import { parsePasswd } from '../observe/users.ts'
import type { Host } from '../plan/host.ts'
import type { HostPart } from '../plan/overlay-parts.ts'
import { type Channels, openChannels } from './channel-node.ts'
import { type Frames, keepFrames } from './frames-node.ts'
import { sweep } from './sweep-node.ts'

export interface Machine {
  readonly executor: Executor
  readonly files: Files
  readonly host: Host
  readonly cpuCount: number
  readonly channels: Channels
  readonly frames: Frames
  /** Where the fifos are; nobody else may look into it. */
  readonly directory: string
  /** The ids for a user namespace; undefined for a caller with privilege, which makes none. */
  readonly ids: OwnIds | undefined
  /** Directories of users whose secrets the caller could read. */
  readonly homes: readonly string[]
  readonly hostParts: () => readonly HostPart[]
  /** container/links.ts */
  readonly behindLinks: (layers: readonly string[], path: string) => string
  /** Where coffer keeps its images, if it has any. */
  readonly dataRoot: () => string
  /** A name for a container: `PID-START-NUMBER` of the caller, so that what was left behind can be told from what is in use. */
  readonly nextId: () => string
}

let opened: Machine | undefined

/** The one of this process. Throws `unsupported` where there is no Linux. */
export function theMachine(): Machine {
  opened ??= openMachine()
  return opened
}

function openMachine(): Machine {
  refuseOtherSystems()
  const files = nodeFiles()
  const host = hostOfCaller(files)
  const owner = `${process.pid}-${startTimeOf(files)}`
  const root = runRoot(host)
  sweep({ files, root, layout: host.cgroup })
  const directory = join(root, `lib-${owner}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const executor = openExecutor(programPath('coffer-executor'), {
    stdio: ['ignore', 'ignore', 'ignore'],
    holdsLoop: false,
  })
  let count = 0
  return {
    executor,
    files,
    host,
    cpuCount: availableParallelism(),
    directory,
    channels: openChannels(directory, executor),
    frames: keepFrames(host.architecture),
    ids: host.isRootless ? ownIds({ files }, host) : undefined,
    homes: homesOf(files, host),
    hostParts: () => listHostParts(files),
    behindLinks: (layers, path) => behindLinks(files, layers, path),
    dataRoot: () => dataRootOf(host),
    nextId: () => `lib-${owner}-${++count}`,
  }
}

function refuseOtherSystems(): void {
  if (process.platform === 'linux') return
  throw new OperationError({
    kind: 'unsupported',
    operation: 'run a container',
    reason: `containers are made of Linux, and this is ${process.platform}`,
    hint: 'run the program on Linux, or in a virtual machine with it',
  })
}

function hostOfCaller(files: Files): Host {
  const identity = readIdentity(files, process.arch === 'arm64' ? 'aarch64' : 'x86_64')
  const has = (name: Capability): boolean => hasBit(identity.effectiveCapabilities, capabilityBit(name))
  return {
    ...readHost(files, identity),
    canMapIds: has('CAP_SETUID') && has('CAP_SETGID'),
    canRaiseLimits: has('CAP_SYS_RESOURCE'),
  }
}

/** Field 22 of /proc/PID/stat: with the pid it names a process for good. proc_pid_stat(5) */
const startTimeOf = (files: Files): string =>
  (files.readText('/proc/self/stat') ?? '').replace(/^.*\) /s, '').split(' ')[19] ?? '0'

function runRoot({ hostUid, isRootless }: Host): string {
  if (!isRootless) return '/run/coffer'
  const given = process.env.XDG_RUNTIME_DIR ?? ''
  if (given.startsWith('/') && existsSync(given)) return join(given, 'coffer')
  const usual = `/run/user/${hostUid}`
  return existsSync(usual) ? join(usual, 'coffer') : join('/tmp', `coffer-${hostUid}`)
}

/** As cli/open.ts has it. */
function dataRootOf({ isRootless }: Host): string {
  const { COFFER_DATA_ROOT, XDG_DATA_HOME } = process.env
  if (COFFER_DATA_ROOT !== undefined) return COFFER_DATA_ROOT
  return isRootless ? join(XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'coffer') : '/var/lib/coffer'
}

/** Homes of people and of root. */
function homesOf(files: Files, { hostUid }: Host): readonly string[] {
  const entries = parsePasswd(files.readText('/etc/passwd') ?? '')
  const people = entries.filter(({ uid }) => uid === 0 || uid === hostUid || (uid >= 1000 && uid < 65_534))
  const homes = [homedir(), ...people.map(({ home }) => home)].map((home) => home.replace(/\/+$/, ''))
  return [...new Set(homes)].filter((home) => home.startsWith('/'))
}

/** In `dist`: beside this code where that is built, and two levels up in a checkout. Nowhere else, as in a package of somebody's that is called dist. */
export function programPath(name: string): string {
  const isBuilt = !import.meta.filename.endsWith('.ts')
  const path = join(import.meta.dirname, isBuilt ? '.' : '../../dist', name)
  if (existsSync(path)) return path
  throw new OperationError({
    kind: 'missing',
    operation: `start ${name}`,
    reason: `it is not where it belongs: ${path}`,
    hint: isBuilt
      ? 'a bundler that takes coffer in leaves its programs behind: declare coffer as external'
      : 'in a checkout of coffer: make build',
  })
}

export const readProgram = (name: string): Uint8Array => readFileSync(programPath(name))
