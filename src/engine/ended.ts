/**
 * What happens behind a container that has ended: the monitor becomes this program, with the clients still attached.
 *
 * They see the end of their connection when all is cleaned up, as this program is gone then. If the container is to be started again they see
 * it before; and of one that removes itself when there is no such container any more, nor anything of it but its files.
 */

import { OperationError } from '../base/errors.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { type Container, readRemains } from '../container/store.ts'
import { attempt } from '../executor/embedded-call.ts'
import { drain, POLLIN, poll, watchFiles } from '../executor/embedded-events.ts'
import { close, remove } from '../executor/embedded-files.ts'
import { CLOCK_MONOTONIC, clockNanos } from '../executor/embedded-process.ts'
import { disconnectContainer } from './container-network.ts'
import { readEngineContainer, UNSEEN_STATUS } from './containers.ts'
import { recordEnd } from './end.ts'
import { heldLocks, withContainerLock } from './lock.ts'
import { releaseVolumes } from './mounted-volumes.ts'
import { removeOwned } from './owner.ts'
import { attachPath, containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { forgetContainer } from './remove.ts'
import { isStoppedByHand, nextRestart, type Restarts, ranMs, readRestarts, writeRestarts } from './restart.ts'
import { startLocked } from './start.ts'
import { beginWaiting, endWaiting } from './waiting.ts'

type Warn = (text: string) => void

export function afterEnd(engine: Engine, id: string, warn: Warn): void {
  const record = readEngineContainer(engine, id)?.record
  if (record === undefined) {
    cleanUp(engine, id, { inner: readInner(engine, id), warn })
    return
  }
  if (record.restart.when !== 'no') {
    // Nobody shall take it for one that stays as it is, until it runs again.
    if (decide(engine, record) === undefined) endWaiting(engine, id)
    else beginWaiting(engine, id)
    letClientsGo(engine)
  }
  let isForgotten = false
  unlessRemoved(() =>
    withContainerLock(engine, id, () => {
      // Somebody may have started it again before we got here.
      const inner = readInner(engine, id)
      if (inner !== undefined && 'init' in inner) return
      cleanUp(engine, id, { inner, warn })
      if (!record.removesItself) {
        startAgain(engine, record, warn)
        return
      }
      forgetContainer(engine, record, { volumes: true })
      isForgotten = true
    }),
  )
  if (!isForgotten) return
  // The disk takes its time to give up what the container has written, and its name is free already.
  letClientsGo(engine)
  removeOwned(engine, [containerPath(engine, id)])
}

/** Whoever removes a container cleans up behind it. */
function unlessRemoved(body: () => void): void {
  try {
    body()
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
  }
}

const readInner = ({ machine: { files, root } }: Engine, id: string): Container | undefined =>
  readRemains(files, root, id)

interface Ended {
  /** What the runtime left. */
  readonly inner: Container | undefined
  readonly warn: Warn
}

function cleanUp(engine: Engine, id: string, { inner, warn }: Ended): void {
  recordEnd(engine, id, inner)
  removeInner(engine.machine, id, { force: true, warn, held: heldLocks() })
  disconnectContainer(engine, id)
  releaseVolumes(engine, id)
  remove(engine.machine.native, attachPath(engine, id))
}

/** close_range(2): only what the monitor left is open. */
function letClientsGo({ machine: { native } }: Engine): void {
  attempt(native, 'close_range', 3, 0xffff_ffff, 0)
}

/** A start that fails is an end like others. */
function startAgain(engine: Engine, record: ContainerRecord, warn: Warn): void {
  let next = decide(engine, record)
  while (next !== undefined) {
    writeRestarts(engine, record.id, next)
    if (!awaitTime(engine, record.id, next.delayMs)) break
    try {
      startLocked(engine, readEngineContainer(engine, record.id)?.record ?? record, { warn, before: () => undefined })
      return
    } catch (error) {
      warn(String(error))
      next = nextRestart(record.restart, next, { status: UNSEEN_STATUS, ranMs: 0 })
    }
  }
  endWaiting(engine, record.id)
}

function decide(engine: Engine, { id, restart }: ContainerRecord): Restarts | undefined {
  const now = readEngineContainer(engine, id)
  if ((now?.status !== 'exited' && now?.status !== 'restarting') || isStoppedByHand(engine, id)) return undefined
  const ran = now.exit === undefined ? 0 : ranMs(now.started, now.exit)
  return nextRestart(restart, readRestarts(engine, id), { status: now.exit?.status ?? UNSEEN_STATUS, ranMs: ran })
}

const IN_CREATE = 0x100
const IN_MOVED_TO = 0x80

/** Answers whether it may be started; false as soon as it is stopped by hand. */
function awaitTime(engine: Engine, id: string, delayMs: number): boolean {
  const { native } = engine.machine
  const changes = watchFiles(native, [containerPath(engine, id)], IN_CREATE | IN_MOVED_TO)
  const nowMs = (): number => clockNanos(native, CLOCK_MONOTONIC) / 1_000_000
  const end = nowMs() + delayMs
  try {
    while (!isStoppedByHand(engine, id)) {
      const left = end - nowMs()
      if (left <= 0) return true
      if (poll(native, [{ fd: changes, events: POLLIN }], Math.ceil(left)) !== undefined) drain(native, changes)
    }
    return false
  } finally {
    close(native, changes)
  }
}
