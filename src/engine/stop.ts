/** stop: the signal that asks a container to end, and the one that does not ask. */

import { killContainer, openInit } from '../container/kill.ts'
import { findContainer as findInner, liveContainer } from '../container/store.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { waitForEnd } from './attach.ts'
import type { EngineContainer } from './containers.ts'
import type { Engine } from './place.ts'

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
    killContainer(machine, record.id, { signal: signal ?? record.stopSignal, all: false })
    const limit = seconds ?? record.stopSeconds
    const ended = poll(machine.native, [{ fd: pidfd, events: POLLIN }], limit < 0 ? undefined : limit * 1000)
    if ((ended?.[0] ?? 0) === 0) killContainer(machine, record.id, { signal: 'KILL', all: false })
  } finally {
    close(machine.native, pidfd)
  }
  waitForEnd(engine, record)
}
