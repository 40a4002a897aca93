/**
 * Containers made from plans that a test has changed: the unprotected twins, which show that a check can fail.
 *
 * The plan is the one that the program makes for the same configuration; only who asks for it is this process, and not the front.
 */

import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assemble } from '../src/executor/assemble.ts'
import { type Failure, parseReport } from '../src/executor/report.ts'
import { type Capability, capabilityBit, hasBit } from '../src/linux/capabilities.ts'
import { errnoName } from '../src/linux/errno.ts'
import { nodeFiles } from '../src/observe/files-node.ts'
import { readHost, readIdentity } from '../src/observe/host.ts'
import { parseConfig } from '../src/oci/config.ts'
import type { NamespaceType } from '../src/oci/namespaces.ts'
import { planCgroup } from '../src/plan/cgroup.ts'
import { planCgroupJoin } from '../src/plan/cgroup-join.ts'
import type { CgroupWay } from '../src/plan/cgroup-parents.ts'
import { planContainer } from '../src/plan/container.ts'
import { planExec } from '../src/plan/exec.ts'
import type { Host } from '../src/plan/host.ts'
import type { Plan } from '../src/plan/plan.ts'
import type { Ending } from '../src/plan/request.ts'
import { INIT_EXIT } from '../src/plan/stage.ts'
import { type Changes, configOf } from './kernel/bundle.ts'
import type { Site } from './kernel/site.ts'

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const executor = join(import.meta.dir, '..', 'dist', 'coffer-executor')
const files = nodeFiles()

export interface Twin {
  readonly plan: Plan
  /** What becomes state.json; none for a process of exec. */
  readonly record: string | undefined
}

export interface TwinOptions {
  readonly ending?: Ending
  readonly consoleSocket?: string
}

const hostNow = (): Host => {
  const identity = readIdentity(files, architecture)
  const has = (name: Capability): boolean => hasBit(identity.effectiveCapabilities, capabilityBit(name))
  return {
    ...readHost(files, identity),
    canMapIds: has('CAP_SETUID') && has('CAP_SETGID'),
    canRaiseLimits: has('CAP_SYS_RESOURCE'),
  }
}

/** Of root, as it is run in tests. Two more fields than a container of the program has: none of them concerns the process. */
export function planOf(site: Site, changes: Changes, { ending = 'wait', consoleSocket }: TwinOptions = {}): Twin {
  const { id, bundle, rootfs } = site
  const document = configOf({ 'linux.cgroupsPath': site.cgroup, ...changes })
  const config = parseConfig(document, 'config.json')
  const host = hostNow()
  const { linux } = config
  const cgroup = planCgroup({
    id,
    cgroupsPath: linux.cgroupsPath,
    resources: linux.resources,
    layout: host.cgroup,
    isRootless: false,
    way: wayOf(site),
  })
  const request = {
    config,
    place: { root: site.root(), id },
    bundle,
    rootfs,
    stateSource: FIRST_EXTRA,
    cgroup,
    ending,
    noPivot: false,
    noNewKeyring: false,
    consoleSocket,
    listenFds: 0,
    preserveFds: 0,
    isHosts: () => false,
    netDevices: [],
    hostParts: () => [],
    listTree: () => undefined,
    behindLinks: (path: string) => path,
    keep: false,
  }
  const record = JSON.stringify({
    version: 1,
    ociVersion: config.ociVersion,
    id,
    bundle,
    rootfs,
    created: new Date().toISOString(),
    owner: 'root',
    annotations: {},
    hasOwnPids: linux.namespaces.some(({ type, path }) => type === 'pid' && path === undefined),
    cgroup: { paths: cgroup.paths },
    config: document,
  })
  return { plan: planContainer(request, host), record }
}

const OWN: readonly NamespaceType[] = ['mount', 'pid', 'network', 'uts', 'ipc']

const wayOf = (site: Site): CgroupWay => ({ root: site.root(), isThere: existsSync })

/** A process of exec in a container that `planOf`, or the program, has made with the same changes; `initPid` is its first process. */
export function execPlanOf(site: Site, changes: Changes, initPid: number): Plan {
  const config = parseConfig(configOf({ 'linux.cgroupsPath': site.cgroup, ...changes }), 'config.json')
  const host = hostNow()
  const { linux } = config
  const { paths } = planCgroup({
    id: site.id,
    cgroupsPath: linux.cgroupsPath,
    resources: linux.resources,
    layout: host.cgroup,
    isRootless: false,
    way: wayOf(site),
  })
  return planExec(
    {
      id: site.id,
      process: config.process,
      linux,
      initPid,
      state: { bundle: site.bundle, annotations: {}, ociVersion: config.ociVersion },
      initPidfd: FIRST_EXTRA,
      enters: linux.namespaces.map(({ type }) => type).filter((type) => OWN.includes(type) || type === 'user'),
      cgroup: planCgroupJoin({ cgroup: { paths }, subCgroups: [], initDirectory: undefined }),
      wait: true,
      listenFds: 0,
      preserveFds: 0,
    },
    host,
  )
}

/** Where the executor finds the first descriptor beyond stdio, plan and report. */
const FIRST_EXTRA = 5

export interface TwinRun {
  readonly stdout: string
  readonly stderr: string
  /** Of the program, where the plan waits for it; 128 and the signal if one ended it. */
  readonly exitCode: number | undefined
  /** The failed steps, undone ones aside: `why: errno`. */
  readonly failures: readonly string[]
}

export interface RunTwinOptions {
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  /** A command that the executor is started through, with its descriptors. */
  readonly through?: readonly string[]
}

/** Runs a plan in the executor as it is shipped. */
export const runTwin = (site: Site, twin: Twin, options: RunTwinOptions = {}): TwinRun =>
  prepareTwin(site, twin, options)()

let prepared = 0

/** The same, ready to be run many times: what races need is the executor, not the planner. */
export function prepareTwin(site: Site, { plan, record }: Twin, options: RunTwinOptions = {}): () => TwinRun {
  const number = prepared++
  const path = (name: string): string => join(site.directory, `twin-${name}-${number}`)
  const assembled = assemble(plan, { architecture, encode: (text) => new TextEncoder().encode(text) })
  writeFileSync(path('plan'), assembled.frame)
  if (record !== undefined) writeFileSync(path('record'), record)
  const [command = executor, ...args] = [...(options.through ?? []), executor]
  const env = { PATH: process.env.PATH ?? '', ...options.env }
  const waits = plan.reads?.some(({ buffer }) => buffer === INIT_EXIT.buffer) ?? false
  const why = ({ step, errno }: Failure): string => `${assembled.steps[step]?.why}: ${errnoName(errno)}`
  return () => {
    const opened = [
      openSync('/dev/null', 'r'),
      openSync(path('out'), 'w'),
      openSync(path('err'), 'w'),
      openSync(path('plan'), 'r'),
      openSync(path('report'), 'w+'),
      ...(record === undefined ? [] : [openSync(path('record'), 'r')]),
    ]
    const { timeoutMs: timeout = 20_000 } = options
    const { error } = spawnSync(command, args, { stdio: opened, timeout, killSignal: 'SIGKILL', cwd: '/', env })
    for (const fd of opened) closeSync(fd)
    const report = lastReport(readFileSync(path('report')), assembled)
    const found = report?.failures.filter(({ undoing }) => !undoing).map((one) => why(one))
    return {
      stdout: readFileSync(path('out'), 'utf8'),
      stderr: readFileSync(path('err'), 'utf8'),
      exitCode: report?.kind === 'done' && waits ? exitOf(report.bytes(INIT_EXIT)) : undefined,
      failures: found ?? [error === undefined ? 'no report' : 'no report in time'],
    }
  }
}

/** Progress reports come before it, in the same file. */
function lastReport(bytes: Uint8Array, assembled: Parameters<typeof parseReport>[1]) {
  let last: ReturnType<typeof parseReport> | undefined
  for (let at = 0; at < bytes.length; ) {
    const size = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true)
    last = parseReport(new Uint8Array(bytes.slice(at, at + size)), assembled)
    at += size
  }
  return last
}

const CLD_EXITED = 1

function exitOf(info: Uint8Array): number {
  const view = new DataView(info.buffer, info.byteOffset)
  const status = view.getInt32(24, true)
  return view.getInt32(8, true) === CLD_EXITED ? status : 128 + status
}
