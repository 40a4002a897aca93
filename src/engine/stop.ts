/** stop: the signal that asks a container to end, and the one that does not ask. */

import { killContainer, openInit } from '../container/kill.ts'
import { findContainer as findInner, liveContainer } from '../container/store.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { waitForEnd } from './attach.ts'
import type { EngineContainer } from './containers.ts'
import type { Engine } from './place.ts'
import { keepSent } from './sent.ts'

export interface StopOptions {
  /** How long to wait; below 0 for ever. Undefined: as the container has it. */
  readonly seconds: number | undefined
  readonly signal: string | undefined
}

/** One that has ended is stopped already. */
export function stopContainer(
  engine: Engine,
  { record, status }: EngineContainer,
  { seconds, signal }: StopOptions,
): void {
  if (status === 'created' || status === 'exited') return
  const { machine } = engine
  const pidfd = openInit(
    machine,
    liveContainer(findInner(machine.files, machine.root, record.id), `stop ${record.name}`),
  )
  try {
    const first = signal ?? record.stopSignal
    keepSent(engine, record.id, { command: 'stop', signal: first })
    killContainer(machine, record.id, { signal: first, all: false })
    const limit = seconds ?? record.stopSeconds
    const ended = poll(machine.native, [{ fd: pidfd, events: POLLIN }], limit < 0 ? undefined : limit * 1000)
    if ((ended?.[0] ?? 0) === 0) {
      keepSent(engine, record.id, { command: 'stop', signal: 'KILL', waitedSeconds: limit })
      killContainer(machine, record.id, { signal: 'KILL', all: false })
    }
  } finally {
    close(machine.native, pidfd)
  }
  waitForEnd(engine, record)
}
