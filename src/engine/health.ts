/**
 * Health checks: whether a container that runs is well, in docker's words and times.
 *
 * The monitor starts `coffer --health` when a check is due, and that answers when the next one is: decisions/0022. `health` in the directory of
 * the container is what is known since its last start. Source: docker: daemon/health.go
 */

import { describeError, OperationError } from '../base/errors.ts'
import type { Json } from '../base/json.ts'
import { checkContainer } from '../container/check.ts'
import { replaceFile } from '../executor/embedded-files.ts'
import type { Process } from '../oci/process.ts'
import { type EngineContainer, readEngineContainer } from './containers.ts'
import { tellContainer } from './events.ts'
import { containerPath, type Engine } from './place.ts'
import { randomHex } from './random.ts'
import type { ContainerRecord, HealthPolicy } from './record.ts'

export interface Health {
  readonly status: 'starting' | 'healthy' | 'unhealthy'
  readonly failingStreak: number
  /** The last five, the oldest first. */
  readonly log: readonly HealthResult[]
}

export interface HealthResult {
  /** RFC 3339, UTC. */
  readonly start: string
  readonly end: string
  /** -1 if it did not end by itself, or could not be run. */
  readonly exitCode: number
  readonly output: string
}

export const HEALTH_FILE = 'health'
/** The word behind which this program finds the container to check, as of ENDED_COMMAND. */
export const HEALTH_COMMAND = '--health'
const LOGGED = 5
const OUTPUT_BYTES = 4096
const NANOS_PER_MS = 1_000_000

/** Undefined for a container without checks, or one that was never started. One that does not run, or is paused, counts as unhealthy. */
export function healthOf(engine: Engine, { record, status }: EngineContainer): Health | undefined {
  const health = record.health === undefined ? undefined : readHealth(engine, record.id)
  return health === undefined || status === 'running' ? health : { ...health, status: 'unhealthy' }
}

function readHealth({ machine: { files }, dataRoot }: Engine, id: string): Health | undefined {
  const text = files.readText(`${containerPath({ dataRoot }, id)}/${HEALTH_FILE}`)
  return text === undefined ? undefined : (JSON.parse(text) as Health)
}

function writeHealth({ machine: { native }, dataRoot }: Engine, id: string, health: Health): void {
  const path = `${containerPath({ dataRoot }, id)}/${HEALTH_FILE}`
  // A check of the run before may be at it while the container is started again.
  const temporary = `${path}.${randomHex(native, 4)}`
  replaceFile(native, { path, temporary, text: JSON.stringify(health), mode: 0o600 })
}

/** As configurations of images and containers have it, with docker's names. */
export const healthSection = (policy: HealthPolicy): { readonly [name: string]: Json } => ({
  Test: policy.test,
  Interval: policy.intervalNanos,
  Timeout: policy.timeoutNanos,
  StartPeriod: policy.startPeriodNanos,
  StartInterval: policy.startIntervalNanos,
  Retries: policy.retries,
})

/** At a start; what the checks before it have said stays in the log. */
export function beginHealth(engine: Engine, { id, health }: ContainerRecord): void {
  if (health === undefined) return
  writeHealth(engine, id, { status: 'starting', failingStreak: 0, log: readHealth(engine, id)?.log ?? [] })
}

/** Milliseconds until the next check, the first one included. */
export function delayMs(
  { intervalNanos, startPeriodNanos, startIntervalNanos }: HealthPolicy,
  { status, ranMs }: { readonly status: Health['status']; readonly ranMs: number },
): number {
  const isStarting = ranMs * NANOS_PER_MS < startPeriodNanos && status === 'starting'
  return Math.max(1, Math.round((isStarting ? startIntervalNanos : intervalNanos) / NANOS_PER_MS))
}

/** What is known behind a check. `ranMs`: how long the container had run when it began. */
export function nextHealth(
  { retries, startPeriodNanos }: Pick<HealthPolicy, 'retries' | 'startPeriodNanos'>,
  before: Health,
  { result, ranMs }: { readonly result: HealthResult; readonly ranMs: number },
): Health {
  const log = [...before.log, result].slice(-LOGGED)
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log }
  const isForgiven = before.status === 'starting' && ranMs * NANOS_PER_MS < startPeriodNanos
  const failingStreak = before.failingStreak + (isForgiven ? 0 : 1)
  const isOver = !isForgiven && failingStreak >= retries
  return { status: isOver ? 'unhealthy' : before.status, failingStreak, log }
}

/** Checks once; answers in how many milliseconds it is checked again. A container that is paused is left alone. */
export function checkHealth(engine: Engine, id: string): number | undefined {
  const { now } = engine.machine
  const found = readEngineContainer(engine, id)
  const policy = found?.record.health
  if (found === undefined || policy === undefined || !('pid' in found)) return undefined
  const ranMs = (): number => now().getTime() - Date.parse(found.started)
  const before = readHealth(engine, id) ?? { status: 'starting', failingStreak: 0, log: [] }
  if (found.status === 'paused') return delayMs(policy, { status: before.status, ranMs: ranMs() })
  const beganMs = ranMs()
  const result = resultOf(engine, found.record, policy)
  const after = readEngineContainer(engine, id)
  // It was paused meanwhile, or has ended: then its check says nothing.
  if (after?.status !== 'running' || after.started !== found.started)
    return delayMs(policy, { status: before.status, ranMs: ranMs() })
  const health = nextHealth(policy, before, { result, ranMs: beganMs })
  writeHealth(engine, id, health)
  if (health.status !== before.status) tellContainer(engine, found.record, `health_status: ${health.status}`)
  return delayMs(policy, { status: health.status, ranMs: ranMs() })
}

function resultOf({ machine }: Engine, { id }: ContainerRecord, policy: HealthPolicy): HealthResult {
  const start = machine.now().toISOString()
  const ended = (exitCode: number, output: string): HealthResult => ({
    start,
    end: machine.now().toISOString(),
    exitCode,
    output,
  })
  const timeoutMs = Math.max(1, Math.round(policy.timeoutNanos / NANOS_PER_MS))
  const process = (base: Process): Process => ({
    ...base,
    args: argsOf(policy.test),
    terminal: false,
    consoleSize: undefined,
  })
  try {
    const { status, output, isCut } = checkContainer(machine, { id, process, timeoutMs, outputBytes: OUTPUT_BYTES })
    const text = `${machine.native.decode(output)}${isCut ? '...' : ''}`
    if (status !== undefined) return ended(status, text)
    return ended(-1, `Health check exceeded timeout (${timeoutText(timeoutMs)})${text === '' ? '' : `: ${text}`}`)
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    return ended(-1, describeError(error))
  }
}

const argsOf = ([kind, ...words]: readonly string[]): readonly string[] =>
  kind === 'CMD-SHELL' ? ['/bin/sh', '-c', ...words] : words

/** As Go prints a duration, of seconds and parts of them. */
const timeoutText = (ms: number): string => {
  if (ms < 1000) return `${ms}ms`
  const [minutes, seconds] = [Math.floor(ms / 60_000), (ms % 60_000) / 1000]
  const hours = Math.floor(minutes / 60)
  return `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes % 60}m` : ''}${seconds}s`
}
