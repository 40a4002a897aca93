/**
 * Restart policies: whether a container that has ended is started again, and when.
 *
 * As docker: the first time behind 100 ms, then twice as long each time up to a minute; one that ran for 10 s begins anew. A container that was
 * stopped by hand stays so. docker: restartmanager/restartmanager.go
 *
 * | file       | is there                                                | holds                                       |
 * |------------|---------------------------------------------------------|---------------------------------------------|
 * | `stopped`  | from a stop by hand until a start by hand               | nothing                                     |
 * | `restarts` | from the first restart until a start by hand            | `Restarts` as JSON                          |
 * | `waiting`  | since it ended and is started again                     | who waits, or did: waiting.ts               |
 */

import { close, open, remove, replaceFile } from '../executor/embedded-files.ts'
import { O_CREAT, O_WRONLY } from '../linux/files.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord, RestartPolicy } from './record.ts'

export interface Restarts {
  readonly count: number
  /** What was waited for the last of them. */
  readonly delayMs: number
}

const NO_RESTARTS: Restarts = { count: 0, delayMs: 0 }
const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 60_000
/** Who runs as long as this is well. */
const WELL_MS = 10_000

/** How often it will have been restarted, and what is waited before; undefined if it stays as it is. */
export function nextRestart(
  { when, maxRetries }: RestartPolicy,
  { count, delayMs }: Restarts,
  { status, ranMs }: { readonly status: number; readonly ranMs: number },
): Restarts | undefined {
  if (when === 'no') return undefined
  if (when === 'on-failure' && (status === 0 || (maxRetries > 0 && count >= maxRetries))) return undefined
  const doubled = Math.min(delayMs * 2, LONGEST_DELAY_MS)
  return { count: count + 1, delayMs: ranMs >= WELL_MS || delayMs === 0 ? FIRST_DELAY_MS : doubled }
}

/** Milliseconds between a start and an end; never below 0, whatever the clock did. */
export const ranMs = (started: string, exit: { readonly at: string }): number =>
  Math.max(0, Date.parse(exit.at) - Date.parse(started))

const stoppedPath = (engine: Engine, id: string): string => `${containerPath(engine, id)}/stopped`
const restartsPath = (engine: Engine, id: string): string => `${containerPath(engine, id)}/restarts`

export const isStoppedByHand = (engine: Engine, id: string): boolean =>
  engine.machine.files.status(stoppedPath(engine, id)) !== undefined

/** From now on it is not started again but by hand. Nothing without a policy. */
export function markStopped(engine: Engine, { id, restart }: ContainerRecord): void {
  if (restart.when === 'no') return
  const { native } = engine.machine
  close(native, open(native, stoppedPath(engine, id), O_WRONLY | O_CREAT, 0o600))
}

export function readRestarts(engine: Engine, id: string): Restarts {
  try {
    const value = JSON.parse(engine.machine.files.readText(restartsPath(engine, id)) ?? '{}') as Partial<Restarts>
    return { count: Number(value.count ?? 0), delayMs: Number(value.delayMs ?? 0) }
  } catch (error) {
    if (error instanceof SyntaxError) return NO_RESTARTS
    throw error
  }
}

export const writeRestarts = (engine: Engine, id: string, restarts: Restarts): void =>
  write(engine, restartsPath(engine, id), JSON.stringify(restarts))

export function forgetRestarts(engine: Engine, { id, restart }: ContainerRecord): void {
  if (restart.when === 'no') return
  for (const path of [stoppedPath(engine, id), restartsPath(engine, id)]) remove(engine.machine.native, path)
}

const write = (engine: Engine, path: string, text: string): void =>
  replaceFile(engine.machine.native, { path, temporary: `${path}.new`, text, mode: 0o600 })
