/** stop and kill: the signal that asks a container to end, and the one that does not ask. */

import { OperationError } from '../base/errors.ts'
import { killContainer, noSignal, openInit, signalOpen } from '../container/kill.ts'
import { findContainer as findInner, liveContainer } from '../container/store.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { parseSignal } from '../linux/signals.ts'
import { waitForEnd } from './attach.ts'
import { type EngineContainer, readEngineContainer } from './containers.ts'
import { tellContainer } from './events.ts'
import { withContainerLock } from './lock.ts'
import { mendContainer } from './mend.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { markStopped } from './restart.ts'
import { keepSent } from './sent.ts'

export interface StopOptions {
  /** How long to wait; below 0 for ever. Undefined: as the container has it. */
  readonly seconds: number | undefined
  readonly signal: string | undefined
}

/** One that has ended is stopped already; one that would be started again is not. */
export function stopContainer(engine: Engine, container: EngineContainer, { seconds, signal }: StopOptions): void {
  const found = forGood(engine, container)
  if (found.status !== 'running' && found.status !== 'paused') return
  const { record, started } = found
  try {
    end(engine, record, { seconds, signal })
  } catch (error) {
    // It was faster.
    if (!(error instanceof OperationError) || (error.kind !== 'conflict' && error.kind !== 'missing')) throw error
  }
  waitForEnd(engine, record, started)
  mendContainer(engine, record.id)
  tellStop(engine, record)
}

const SIGKILL = 9

/** Answers once its first process has ended: the one that got the signal, if somebody starts the container again meanwhile. */
function end(engine: Engine, record: ContainerRecord, { seconds, signal }: StopOptions): void {
  const { machine } = engine
  const inner = liveContainer(findInner(machine.files, machine.root, record.id), `stop ${record.name}`)
  const pidfd = openInit(machine, inner)
  try {
    const first = signal ?? record.stopSignal
    const number = parseSignal(first)
    if (number === undefined) throw noSignal(record.id, first)
    keepSent(engine, record.id, { command: 'stop', signal: first })
    tellContainer(engine, record, 'kill', { signal: `${number}` })
    signalOpen(machine, inner, { pidfd, signal: number })
    const limit = seconds ?? record.stopSeconds
    const ended = poll(machine.native, [{ fd: pidfd, events: POLLIN }], limit < 0 ? undefined : limit * 1000)
    if ((ended?.[0] ?? 0) === 0) {
      keepSent(engine, record.id, { command: 'stop', signal: 'KILL', waitedSeconds: limit })
      tellContainer(engine, record, 'kill', { signal: '9' })
      signalOpen(machine, inner, { pidfd, signal: SIGKILL })
    }
    poll(machine.native, [{ fd: pidfd, events: POLLIN }])
  } finally {
    close(machine.native, pidfd)
  }
}

/** When whoever cleans up has told of its end; one that removes itself may be gone by then. */
function tellStop(engine: Engine, record: ContainerRecord): void {
  const exists = engine.machine.files.status(containerPath(engine, record.id)) !== undefined
  try {
    if (exists) withContainerLock(engine, record.id, () => undefined)
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
  }
  tellContainer(engine, record, 'stop')
}

/** The container as it is once nobody will start it again but by hand. */
function forGood(engine: Engine, container: EngineContainer): EngineContainer {
  const { record } = container
  if (record.restart.when === 'no') return container
  markStopped(engine, record)
  // Who was about to start it has seen that, or has done it.
  withContainerLock(engine, record.id, () => undefined)
  return readEngineContainer(engine, record.id) ?? container
}

/**
 * A signal that ends it ends it for good. Behind SIGKILL, which nothing withstands, it has ended when this answers, as with docker: who starts or
 * removes it next shall not find it alive.
 */
export function signalContainer(engine: Engine, container: EngineContainer, signal: string): void {
  const { record } = container
  const number = parseSignal(signal)
  if (number === SIGKILL || number === parseSignal(record.stopSignal)) markStopped(engine, record)
  keepSent(engine, record.id, { command: 'kill', signal })
  killContainer(engine.machine, record.id, { signal, all: false })
  tellContainer(engine, record, 'kill', { signal: `${number ?? signal}` })
  if (number !== SIGKILL || !('started' in container)) return
  waitForEnd(engine, record, container.started)
  mendContainer(engine, record.id)
}
