/** exec: a process for a container that lives. */

import { OperationError } from '../base/errors.ts'
import { close } from '../executor/embedded-files.ts'
import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import { socketPair } from '../executor/embedded-sockets.ts'
import type { Report } from '../executor/report.ts'
import { FIRST_EXTRA, runPlan, startPlan } from '../executor/run-embedded.ts'
import { type Config, parseConfig } from '../oci/config.ts'
import type { Process } from '../oci/process.ts'
import { capabilityWarnings } from '../plan/capabilities.ts'
import { planCgroupJoin } from '../plan/cgroup-join.ts'
import { type ExecPlanRequest, planExec } from '../plan/exec.ts'
import type { Host } from '../plan/host.ts'
import type { Plan } from '../plan/plan.ts'
import { INIT_PID } from '../plan/slots.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { advise } from './advise.ts'
import { checkConsole } from './console.ts'
import { ExecStreams } from './exec-streams.ts'
import type { Explained, RanPlan } from './explain.ts'
import { attend, holdSignals } from './foreground.ts'
import { homeOf } from './home.ts'
import { hostFor } from './host.ts'
import { openInit } from './kill.ts'
import type { Machine } from './machine.ts'
import { isOwnNamespace, namespaceFile } from './namespaces.ts'
import { findContainer, type LiveContainer, liveContainer } from './store.ts'

export interface ExecRequest {
  readonly id: string
  /** The process to run, given the one that the container was made for. */
  readonly process: (base: Process) => Process
  readonly detach: boolean
  readonly consoleSocket?: string | undefined
  readonly pidFile?: string | undefined
  readonly pidfdSocket?: string | undefined
  readonly preserveFds: number
  readonly listenFds: number
  readonly ignorePaused: boolean
  /** `PATH` or `CONTROLLER,…:PATH`, below the cgroup of the container. */
  readonly cgroups: readonly string[]
  readonly warn: (text: string) => void
  /** What the process gets as descriptors 0, 1 and 2, if not those of the caller. */
  readonly stdio?: readonly [number, number, number] | undefined
  /** Files, terminals and sockets that would be its standard input, output and error stay with the caller: exec-streams.ts. Not with `detach`. */
  readonly keepsFiles?: boolean | undefined
  /** Pass what the caller types on to its terminal; true if undefined. */
  readonly hasInput?: boolean | undefined
  /** A line from its terminal ends with a carriage return and a newline, as with docker; with a newline alone if undefined, as with runc. */
  readonly keepsReturns?: boolean | undefined
}

/** Answers the exit status of the process; 0 if it runs on detached. */
export const execInContainer = (machine: Machine, request: ExecRequest): number => run(machine, request, false).status

/** As execInContainer, recording each step. */
export const execExplained = (machine: Machine, request: ExecRequest): RanPlan => run(machine, request, true)

/** What execInContainer would run; changes nothing. */
export function explainExec(machine: Machine, request: ExecRequest): Explained {
  const { plan, host } = planned(machine, request, findLive(machine, request))
  return { plan, architecture: host.architecture }
}

function run(machine: Machine, request: ExecRequest, trace: boolean): RanPlan {
  const { native } = machine
  const container = findLive(machine, request)
  const initPidfd = openInit(machine, container)
  const { plan, host, config, inherited, needsConsole } = planned(machine, request, container)
  const [ours, theirs] = needsConsole ? socketPair(native) : []
  const options = {
    trace,
    ...(request.stdio === undefined ? {} : { stdio: request.stdio }),
    extraFds: [...inherited, initPidfd, ...(theirs === undefined ? [] : [theirs])],
    advise: advise(machine, () => ({
      namespaces: config.linux.namespaces,
      root: `/proc/${container.init.pid}/root`,
    })),
  }
  const ran = (report: Report, status: number): RanPlan => ({
    plan,
    architecture: host.architecture,
    trace: report.trace,
    status,
  })
  if (request.detach) return ran(runPlan(native, plan, options), 0)
  const signals = holdSignals(native)
  const streams = request.keepsFiles === true ? new ExecStreams(native, request.stdio ?? [0, 1, 2]) : undefined
  try {
    const running = startPlan(native, plan, { ...options, ...(streams === undefined ? {} : { stdio: streams.stdio }) })
    if (theirs !== undefined) close(native, theirs)
    streams?.started()
    const report = attend(native, running, {
      signals,
      console: ours,
      pid: (progress) => progress.slot(INIT_PID),
      hasInput: request.hasInput,
      keepsReturns: request.keepsReturns,
      streams,
    })
    return ran(report, exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer))))
  } finally {
    streams?.close()
  }
}

function findLive(machine: Machine, request: ExecRequest): LiveContainer {
  const container = liveContainer(
    findContainer(machine.files, machine.root, request.id),
    `run a process in ${request.id}`,
  )
  refusePaused(container, request)
  return container
}

interface Planned {
  readonly plan: Plan
  readonly host: Host
  readonly config: Config
  /** Descriptors of the caller that the process gets. */
  readonly inherited: readonly number[]
  /** The caller shows its terminal: the last of the executor's further descriptors is where that comes from. */
  readonly needsConsole: boolean
}

function planned(machine: Machine, request: ExecRequest, container: LiveContainer): Planned {
  const { files } = machine
  const config = parseConfig(container.record.config, `${container.directory}/state.json`)
  const process = request.process(config.process)
  const host = hostFor(machine, process)
  for (const text of capabilityWarnings(process.capabilities, host)) request.warn(text)
  checkConsole({
    operation: `run a process in ${request.id}`,
    terminal: () => process.terminal,
    consoleSocket: request.consoleSocket,
    detaches: request.detach,
  })
  const needsConsole = process.terminal && request.consoleSocket === undefined
  const passed = request.listenFds + request.preserveFds
  const plan = planExec(
    {
      ...placeIn(machine, container, config, request.cgroups),
      process,
      initPidfd: FIRST_EXTRA + passed,
      wait: !request.detach,
      pidFile: request.pidFile,
      pidfdSocket: request.pidfdSocket,
      consoleSocket: request.consoleSocket ?? (needsConsole ? FIRST_EXTRA + passed + 1 : undefined),
      listenFds: request.listenFds,
      preserveFds: request.preserveFds,
      home: homeOf(files, `/proc/${container.init.pid}/root`, process),
    },
    host,
  )
  return { plan, host, config, inherited: Array.from({ length: passed }, (_, index) => 3 + index), needsConsole }
}

type PlaceIn = Pick<ExecPlanRequest, 'id' | 'linux' | 'initPid' | 'state' | 'enters' | 'cgroup'>

/** What says of a plan into which container its process goes; `cgroups` as in ExecRequest. */
export function placeIn(
  machine: Machine,
  container: LiveContainer,
  config: Config,
  cgroups: readonly string[] = [],
): PlaceIn {
  return {
    id: container.id,
    linux: config.linux,
    initPid: container.init.pid,
    state: { bundle: container.record.bundle, annotations: config.annotations, ociVersion: config.ociVersion },
    enters: config.linux.namespaces
      .map(({ type }) => type)
      .filter((type) => !isOwnNamespace(machine.files, type, namespaceFile(container.init.pid, type))),
    cgroup: planCgroupJoin({
      cgroup: container.record.cgroup,
      subCgroups: cgroups,
      initDirectory: initCgroup(machine, container),
    }),
  }
}

/** The v2 cgroup that init is in, if it is below that of the container; undefined if init never moved. */
function initCgroup({ files }: Machine, { record, init }: LiveContainer): string | undefined {
  const own = record.cgroup.paths['']
  if (own === undefined) return undefined
  const path = /^0::(.*)$/m.exec(files.readText(`/proc/${init.pid}/cgroup`) ?? '')?.[1]
  if (path === undefined) return undefined
  const name = own.slice(own.lastIndexOf('/'))
  const at = path.lastIndexOf(`${name}/`)
  return at < 0 ? undefined : `${own}${path.slice(at + name.length)}`
}

function refusePaused({ id, status }: LiveContainer, { ignorePaused }: ExecRequest): void {
  if (status !== 'paused' || ignorePaused) return
  throw new OperationError({
    kind: 'conflict',
    operation: `run a process in ${id}`,
    reason: 'cannot exec in a paused container',
    hint: `resume it first, or give --ignore-paused: the process runs once ${id} is resumed`,
  })
}
